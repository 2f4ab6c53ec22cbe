#include "master/pool/pool.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/units.h"
#include "master/pool/connections.h"
#include "master/pool/outbox.h"
#include "master/pool/spawn.h"
#include "master/pool/stuck.h"

/* A worker that reaps sends no messages until it is done, and may have thousands to abort. */
#define REAP_SILENCE_MS (60 * 60 * 1000)
#define RETIRE_MAX_MS 60000 /* how long an idle worker that was told to end may take */
#define HANG_UP_MAX_MS 5000 /* how long a worker may live without a channel */
#define BRIEF_LIFE_MS 1000
#define RENEW_WITHIN_MS 1000 /* the row of this node lists its workers */

void
pool_init(struct pool *p)
{
	struct slot *slot;
	int number = 1;

	p->span = 0;
	POOL_FOREACH (slot, p) {
		slot->number = number++;
		slot->pidfd = slot->channel = slot->report = -1;
		slot->leaf.procs = slot->leaf.ooms = -1;
		TAILQ_INIT(&slot->outbox);
	}
	pool_resize(p, p->state->conf->workers);
}

int64_t
pool_next_delay(int64_t delay_ms)
{
	if (delay_ms < POOL_DELAY_MIN_MS)
		return POOL_DELAY_MIN_MS;
	return delay_ms * 2 < POOL_DELAY_MAX_MS ? delay_ms * 2 : POOL_DELAY_MAX_MS;
}

/* The worker has nothing to do and was told to end. */
static void
await_end(struct slot *slot)
{
	slot->state = SLOT_STOPPING;
	slot->kill_at = clock_ms() + RETIRE_MAX_MS;
}

static void
note_good_start(struct pool *p, struct slot *slot)
{
	slot->was_idle = true;
	if (slot->report != -1)
		close(slot->report);
	slot->report = -1;
	if (p->bad_start[0] != '\0')
		log_info("worker %d (pid %d) has started well; earlier ones had not", slot->number,
		    (int)slot->pid);
	p->bad_start[0] = '\0';
	agenda_renew_by(&p->state->agenda, clock_ms() + RENEW_WITHIN_MS);
}

void
pool_idle(struct pool *p, struct slot *slot)
{
	if (!slot->was_idle)
		note_good_start(p, slot);
	slot_drop_task(slot);
	if (slot_is_retiring(slot) || state_is_ending(p->state)) {
		await_end(slot);
		return;
	}
	slot->state = SLOT_IDLE;
	agenda_claim(&p->state->agenda);
}

void
pool_reap(struct slot *slot)
{
	slot->state = SLOT_REAPING;
	slot->heard_at = clock_ms();
	outbox_send_type(slot, MSG_REAP);
}

void
pool_drain(struct slot *slot)
{
	if (slot_is_retiring(slot))
		return;
	slot_set_retiring(slot);
	outbox_send_type(slot, MSG_RETIRE);
}

static void
retire(struct slot *slot)
{
	if (slot_is_retiring(slot))
		return;
	pool_drain(slot);
	if (slot->state == SLOT_IDLE)
		await_end(slot);
}

void
pool_stop(struct slot *slot)
{
	slot_set_retiring(slot);
	slot->kill_at = 0;
	outbox_send_type(slot, MSG_STOP);
}

void
pool_hang_up(struct slot *slot)
{
	close(slot->channel);
	slot->channel = -1;
	outbox_discard(slot);
	if (slot->kill_at == 0 && !slot_is_killed(slot))
		slot->kill_at = clock_ms() + HANG_UP_MAX_MS;
}

bool
pool_note_bad_start(struct pool *p, const char *why)
{
	char cut[sizeof(p->bad_start)];

	strlcpy(cut, why, sizeof(cut));
	if (strcmp(cut, p->bad_start) == 0)
		return false;
	strlcpy(p->bad_start, cut, sizeof(p->bad_start));
	return true;
}

static void
back_off(struct slot *slot)
{
	slot->delay_ms = pool_next_delay(slot->delay_ms);
	slot->start_at = clock_ms() + slot->delay_ms;
	slot->state = SLOT_BACKOFF;
}

/*
 * A process that died before it was ever idle, or without a task, may die again at once: its slot
 * waits.  The death of a process that had a task tells nothing about the next process.
 */
static bool
was_bad_start(const struct slot *slot, bool clean)
{
	if (!slot->was_idle)
		return true;
	return slot->ntasks == 0 && (!clean || clock_ms() - slot->started_at < BRIEF_LIFE_MS);
}

static void
close_process(struct pool *p, struct slot *slot)
{
	outbox_discard(slot);
	slot_drop_task(slot);
	if (slot->channel != -1)
		close(slot->channel);
	if (slot->report != -1)
		close(slot->report);
	if (slot->pidfd != -1)
		close(slot->pidfd);
	slot->channel = slot->report = slot->pidfd = -1;
	cap_leaf_remove(p->cap, &slot->leaf);
	slot->pid = 0;
}

void
pool_vacate(struct pool *p, struct slot *slot, bool clean)
{
	bool waits =
	    was_bad_start(slot, clean) && !slot_is_retiring(slot) && !state_is_ending(p->state);

	close_process(p, slot);
	slot->state = SLOT_EMPTY;
	if (waits)
		back_off(slot);
	slot->ntasks = 0;
	slot->kill_at = 0;
	slot->ending = ENDING_NOT;
	slot->killed_for = NULL;
	memset(&slot->kinds, 0, sizeof(slot->kinds));
	memset(&slot->fault, 0, sizeof(slot->fault));
	slot->was_idle = slot->reserved = slot->complained = false;
	connections_vacate(slot);
	memset(slot->told, 0, sizeof(slot->told));
}

static void
start(struct pool *p, struct slot *slot)
{
	const char *step;

	if (spawn_worker(p, slot, &step) == 0) {
		if (p->start_failing)
			log_info("workers can be started again");
		p->start_failing = false;
		slot->state = SLOT_STARTING;
		log_event(p->bad_start[0] == '\0' ? LOG_INFO : LOG_DEBUG,
		    "worker %d (pid %d) started", slot->number, (int)slot->pid);
		return;
	}
	if (!p->start_failing)
		log_error("worker %d cannot be started: %s: %s; will try again", slot->number, step,
		    strerror(errno));
	p->start_failing = true;
	back_off(slot);
}

/* What it costs to give up the slot; -1: there is nothing to give up. */
static int
cost_of(const struct slot *slot)
{
	static const int costs[] = {
		[SLOT_EMPTY] = -1,
		[SLOT_BACKOFF] = 0,
		[SLOT_STARTING] = 1,
		[SLOT_IDLE] = 2,
		[SLOT_BUSY] = 3,
		[SLOT_REAPING] = 3,
		[SLOT_STOPPING] = -1,
	};

	return slot_is_retiring(slot) ? -1 : costs[slot->state];
}

/*
 * The slot to give up: the cheapest one, of these the one with the highest number.  If the claim
 * under way may bring a task for that slot, none is given up yet.
 */
static struct slot *
dispensable(struct pool *p)
{
	struct slot *slot, *best = NULL;

	for (slot = p->slots; slot < p->slots + CONFIG_WORKERS_MAX; slot++)
		if (cost_of(slot) >= 0 && (best == NULL || cost_of(slot) <= cost_of(best)))
			best = slot;
	return best == NULL || best->reserved ? NULL : best;
}

/* Whether a worker has the settings of an old configuration, or has served its time. */
static bool
is_outworn(const struct pool *p, const struct slot *slot)
{
	if (slot->reserved || !slot_is_live(slot))
		return false;
	if (slot->conf_generation != p->state->conf_generation)
		return true;
	return slot->state == SLOT_IDLE && slot_has_served(slot);
}

static void
shrink(struct pool *p)
{
	struct slot *slot;
	int staying = 0;

	POOL_FOREACH (slot, p) {
		if (is_outworn(p, slot))
			retire(slot);
		staying += cost_of(slot) >= 0;
	}
	while (staying-- > p->target && (slot = dispensable(p)) != NULL) {
		if (slot->state == SLOT_BACKOFF)
			slot->state = SLOT_EMPTY;
		else
			retire(slot);
	}
}

/*
 * Whether memory_total has room for one more process.  Each live process counts with its own cap,
 * which an older configuration may have given to it, until it is gone.
 */
static bool
has_memory(const struct pool *p)
{
	const struct slot *slot;
	int64_t used = MASTER_MEMORY;

	if (p->state->conf->memory_total == 0)
		return true;
	POOL_FOREACH (slot, p)
		if (slot_is_live(slot))
			used += slot->memory;
	return used + p->state->conf->worker.memory <= p->state->conf->memory_total;
}

static void
grow(struct pool *p)
{
	struct slot *slot;
	int taken = 0;

	POOL_FOREACH (slot, p) {
		if (slot->state == SLOT_BACKOFF && slot->start_at <= clock_ms() && has_memory(p))
			start(p, slot);
		taken += slot->state != SLOT_EMPTY;
	}
	POOL_FOREACH (slot, p) {
		if (taken >= p->target || !has_memory(p))
			return; /* the end of a worker makes room and brings us here again */
		if (slot->state == SLOT_EMPTY) {
			start(p, slot);
			taken++;
		}
	}
}

/* When a worker that sends nothing, or reads nothing, counts as hung; 0: never. */
static int64_t
hung_at(const struct slot *slot)
{
	const struct outgoing *out = TAILQ_FIRST(&slot->outbox);
	int64_t at = 0;

	if (!slot_is_live(slot) || slot_is_killed(slot))
		return 0;
	if (slot->state == SLOT_STARTING || slot->state == SLOT_BUSY)
		at = slot->heard_at + slot->silence_ms;
	else if (slot->state == SLOT_REAPING)
		at = slot->heard_at + REAP_SILENCE_MS;
	if (out != NULL)
		at = clock_earlier(at, out->since + slot->silence_ms);
	return at;
}

/* The last look at a process that does not do what it should, before it is killed. */
static void
log_stuck(const struct slot *slot, int priority, const char *what)
{
	struct log_line line;

	log_begin(&line, priority, "worker %d (pid %d) %s %d s: killed", slot->number,
	    (int)slot->pid, what, (int)((clock_ms() - slot->heard_at) / 1000));
	if (slot->task != NULL)
		log_int(&line, "task", slot->task->id);
	log_int(&line, "worker", slot->number);
	log_int(&line, "pid", slot->pid);
	stuck_add_facts(slot->pid, &line);
	log_end(&line);
}

static void
kill_overdue(struct slot *slot, int64_t now)
{
	int64_t hung = hung_at(slot);

	if (slot->kill_at != 0 && slot->kill_at <= now) {
		log_stuck(slot, LOG_WARNING, "did not end when told to, silent for");
		slot_kill(slot, "it did not end when told to");
	} else if (hung != 0 && hung <= now) {
		log_stuck(slot, LOG_ERR, "is hung, silent for");
		slot_kill(slot, "it was hung");
	}
}

void
pool_run(struct pool *p)
{
	struct slot *slot;
	int64_t now = clock_ms();

	POOL_FOREACH (slot, p)
		kill_overdue(slot, now);
	if (state_is_ending(p->state))
		return;
	shrink(p);
	if (p->lease.node != 0)
		grow(p);
}

int64_t
pool_deadline(const struct pool *p)
{
	const struct slot *slot;
	bool may_start = p->lease.node != 0 && !state_is_ending(p->state) && has_memory(p);
	int64_t at = 0;

	POOL_FOREACH (slot, p) {
		at = clock_earlier(at, slot->kill_at);
		at = clock_earlier(at, hung_at(slot));
		if (slot->state == SLOT_IDLE && !slot->reserved && !state_is_ending(p->state))
			at = clock_earlier(at, slot->expires_at);
		if (slot->state == SLOT_BACKOFF && may_start)
			at = clock_earlier(at, slot->start_at);
	}
	return at;
}

/* Logged once for each number of workers that memory_total holds. */
static void
log_held(struct pool *p, int wanted, int most)
{
	char total[32], each[32];

	if (p->held_at != most)
		log_warn("%d workers are wanted, the pool is held at %d by memory_total of %s: "
			 "each may have %s",
		    wanted, most,
		    units_exact_size(total, sizeof(total), p->state->conf->memory_total),
		    units_exact_size(each, sizeof(each), p->state->conf->worker.memory));
	p->held_at = most;
}

bool
pool_resize(struct pool *p, int target)
{
	int most = config_workers_most(p->state->conf);
	bool fits = target <= most;

	if (!fits && most < CONFIG_WORKERS_MAX)
		log_held(p, target, most);
	else
		p->held_at = 0;
	if (!fits)
		target = most;
	p->target = target > 0 ? target : 0;
	if (p->target > p->span)
		p->span = p->target;
	return fits;
}
