#include "master/queue/assign.h"

#include <inttypes.h>

#include "common/base/log.h"
#include "master/limits/health.h"
#include "master/limits/shares.h"

static void
send_task(const struct limits *l, struct slot *slot, const struct task *task)
{
	/* large, sent often, and written here alone */
	static struct msg msg = { .type = MSG_TASK };
	int end;

	for (end = 0; end < TASK_ENDS; end++)
		msg.task.seen[end] = (int)health_seen(l, task, (enum task_end)end);
	task_copy(&msg.task.task, task);
	outbox_send(slot, &msg, -1);
	log_debug("task %" PRId64 ": given to worker %d (pid %d)", task->id, slot->number,
	    (int)slot->pid);
}

static void
send_cancel(struct slot *slot, const struct task *task)
{
	struct msg msg = { .type = MSG_CANCEL,
		.cancel = { .task = task->id, .claim = task->claim } };

	outbox_send(slot, &msg, -1);
}

/* A task of the slot begins. */
static void
begin(struct queue *q, struct slot *slot)
{
	shares_begin(slot);
	shares_divide(q->limits);
	agenda_check_later(&q->state->agenda);
}

void
assign_task(struct queue *q, struct slot *slot, struct task *task)
{
	slot_begin(slot, task);
	begin(q, slot); /* first, so that the worker knows its share of the rates */
	send_task(q->limits, slot, task);
}

void
assign_next(struct queue *q, struct slot *slot, struct task *task)
{
	slot_set_next(slot, task);
	send_task(q->limits, slot, task);
}

void
assign_begun(struct queue *q, struct slot *slot)
{
	slot_begin_next(slot);
	begin(q, slot);
}

void
assign_cancel(struct slot *slot)
{
	if (slot->task == NULL || slot->cancelled)
		return;
	slot_cancel(slot);
	send_cancel(slot, slot->task);
}

void
assign_cancel_next(struct slot *slot)
{
	if (slot->next == NULL || slot->next_cancelled)
		return;
	slot_cancel_next(slot);
	send_cancel(slot, slot->next);
}
