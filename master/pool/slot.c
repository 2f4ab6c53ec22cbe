#include "master/pool/slot.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"

bool
slot_is_live(const struct slot *slot)
{
	return slot->pid != 0;
}

bool
slot_has_served(const struct slot *slot)
{
	return (slot->max_tasks > 0 && slot->ntasks >= slot->max_tasks) ||
	       (slot->expires_at != 0 && slot->expires_at <= clock_ms());
}

bool
slot_is_retiring(const struct slot *slot)
{
	return slot->ending != ENDING_NOT && slot->ending != ENDING_KILLED;
}

bool
slot_is_killed(const struct slot *slot)
{
	return slot->ending >= ENDING_KILLED;
}

bool
slot_is_cut_off(const struct pool *p, const struct slot *slot)
{
	return p->contended && slot->connection != CONNECTION_UP;
}

/* Whether new tasks may go to the worker at all. */
static bool
takes_tasks(const struct pool *p, const struct slot *slot)
{
	return slot->ending == ENDING_NOT && slot->channel != -1 &&
	       slot->conf_generation == p->state->conf_generation && !slot_has_served(slot) &&
	       !slot_is_cut_off(p, slot);
}

bool
slot_is_available(const struct pool *p, const struct slot *slot)
{
	return slot->state == SLOT_IDLE && !slot->reserved && takes_tasks(p, slot);
}

bool
slot_may_have_next(const struct pool *p, const struct slot *slot)
{
	return slot->state == SLOT_BUSY && slot->task != NULL && slot->next == NULL &&
	       !slot->slow && !slot->cancelled && takes_tasks(p, slot);
}

static bool
is_task(const struct task *task, int64_t id, int64_t claim)
{
	return task != NULL && task->id == id && task->claim == claim;
}

bool
slot_has_task(const struct slot *slot, int64_t task, int64_t claim)
{
	return is_task(slot->task, task, claim);
}

bool
slot_has_next(const struct slot *slot, int64_t task, int64_t claim)
{
	return is_task(slot->next, task, claim);
}

const char *
slot_state_name(enum slot_state state)
{
	static const char *const names[] = {
		[SLOT_EMPTY] = "empty",
		[SLOT_BACKOFF] = "backoff",
		[SLOT_STARTING] = "starting",
		[SLOT_IDLE] = "idle",
		[SLOT_BUSY] = "busy",
		[SLOT_REAPING] = "reaping",
		[SLOT_STOPPING] = "stopping",
	};

	return names[state];
}

int
pool_count_live(const struct pool *p)
{
	const struct slot *slot;
	int n = 0;

	POOL_FOREACH (slot, p)
		n += slot_is_live(slot);
	return n;
}

int
pool_count_busy(const struct pool *p)
{
	const struct slot *slot;
	int n = 0;

	POOL_FOREACH (slot, p)
		n += slot->task != NULL;
	return n;
}

void
slot_reserve(struct slot *slot)
{
	slot->reserved = true;
}

void
slot_unreserve(struct slot *slot)
{
	slot->reserved = false;
}

void
slot_begin(struct slot *slot, struct task *task)
{
	slot->task = task;
	slot->state = SLOT_BUSY;
	slot->ntasks++;
	slot->reserved = slot->cancelled = slot->progressed = false;
	slot->bytes_done = 0;
	slot->bytes_total = -1;
	slot->counted = task_is_again(task) ? -1 : 0; /* what was resumed is not carried again */
	slot->heard_at = clock_ms();
}

void
slot_cancel(struct slot *slot)
{
	slot->cancelled = true;
}

void
slot_drop_task(struct slot *slot)
{
	free(slot->task);
	slot->task = NULL;
	slot->cancelled = slot->slow = slot->progressed = false;
	memset(slot->uses, 0, sizeof(slot->uses));
	slot->bytes_done = 0;
	slot->bytes_total = -1;
}

void
slot_set_next(struct slot *slot, struct task *task)
{
	slot->next = task;
	slot->next_cancelled = false;
}

void
slot_cancel_next(struct slot *slot)
{
	slot->next_cancelled = true;
}

void
slot_begin_next(struct slot *slot)
{
	struct task *next = slot->next;

	slot->next = NULL;
	slot_begin(slot, next);
	slot->cancelled = slot->next_cancelled;
}

struct task *
slot_take_next(struct slot *slot)
{
	struct task *next = slot->next;

	slot->next = NULL;
	slot->slow = true;
	return next;
}

void
slot_heard(struct slot *slot)
{
	slot->heard_at = clock_ms();
}

void
slot_note_progress(struct slot *slot, int64_t bytes_done, int64_t bytes_total)
{
	int64_t total = bytes_total < 0 ? -1 : bytes_total;

	bytes_done = bytes_done < 0 ? 0 : bytes_done;
	slot->progressed |= bytes_done != slot->bytes_done || total != slot->bytes_total;
	slot->bytes_done = bytes_done;
	slot->bytes_total = total;
}

void
slot_progress_taken(struct slot *slot)
{
	slot->progressed = false;
}

bool
slot_note_nonsense(struct slot *slot)
{
	bool first = !slot->complained;

	slot->complained = true;
	return first;
}

void
slot_praise(struct slot *slot)
{
	slot->delay_ms = 0;
}

void
slot_set_retiring(struct slot *slot)
{
	if (slot->ending == ENDING_NOT)
		slot->ending = ENDING_RETIRES;
	else if (slot->ending == ENDING_KILLED)
		slot->ending = ENDING_LATE;
}

static void
send_kill(struct slot *slot)
{
	slot->kill_at = 0;
	if (slot_is_live(slot))
		kill(slot->pid, SIGKILL);
}

void
slot_note_fault(struct slot *slot, const struct msg_fault *fault)
{
	slot->fault = *fault;
}

void
slot_kill(struct slot *slot, const char *why)
{
	if (slot->killed_for == NULL)
		slot->killed_for = why;
	if (slot->ending == ENDING_NOT)
		slot->ending = ENDING_KILLED;
	else if (slot->ending == ENDING_RETIRES)
		slot->ending = ENDING_LATE;
	send_kill(slot);
}

void
slot_kill_forgiven(struct slot *slot)
{
	slot->ending = ENDING_FORGIVEN;
	slot->killed_for = "ferryd ends";
	send_kill(slot);
}
