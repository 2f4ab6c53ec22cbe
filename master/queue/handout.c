#include "master/queue/handout.h"

#include <stdlib.h>

#include "master/queue/assign.h"
#include "master/queue/done.h"
#include "master/queue/stock.h"
#include "master/upkeep/reap.h"

static bool
is_open(const struct queue *q)
{
	return link_is_ready(q->node) && !state_is_ending(q->state);
}

static void
give_next_tasks(struct queue *q)
{
	struct slot *slot;
	struct task *task;

	if (q->state->phase != PHASE_RUNNING || agenda_reap_is_due(&q->state->agenda))
		return; /* reaping waits for a worker without a task */
	POOL_FOREACH (slot, q->pool) {
		if (!slot_may_have_next(q->pool, slot))
			continue;
		if ((task = stock_take(q)) == NULL)
			return;
		assign_next(q, slot, task);
	}
}

void
handout_run(struct queue *q)
{
	struct slot *slot;
	struct task *task;

	if (!is_open(q))
		return;
	/* ahead of tasks: while there are enough tasks, no worker would stay idle for reaping */
	reap_assign(q->upkeep);
	if (done_is_full(q))
		return;
	POOL_FOREACH (slot, q->pool) {
		if (!slot_is_available(q->pool, slot))
			continue;
		if ((task = stock_take(q)) == NULL)
			return;
		assign_task(q, slot, task);
	}
	give_next_tasks(q);
}

int64_t
handout_deadline(const struct queue *q)
{
	return is_open(q) ? reap_deadline(q->upkeep) : 0;
}

void
handout_returned(struct queue *q, struct slot *slot)
{
	bool cancelled = slot->next_cancelled;
	struct task *task;

	if (slot->next == NULL)
		return;
	task = slot_take_next(slot);
	if (cancelled)
		free(task);
	else
		stock_put(q, task);
}
