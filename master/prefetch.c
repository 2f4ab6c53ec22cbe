/*
 * Owns slot.next.
 */
#include "master/prefetch.h"

#include <stdlib.h>

#include "master/abandoned.h"
#include "master/dispatch.h"
#include "master/pool.h"
#include "master/results.h"
#include "master/stock.h"

static bool
may_have(const struct master *m, const struct slot *slot)
{
	return slot->state == SLOT_BUSY && slot->task != NULL && slot->next == NULL && !slot->slow && !slot->cancelled &&
	       !slot->retiring && !slot->killed && slot->channel != -1 && slot->conf_generation == m->conf_generation &&
	       !pool_has_served(slot);
}

void
prefetch_run(struct master *m)
{
	struct slot *slot;

	if (m->queue.link != LINK_READY || m->phase != PHASE_RUNNING || results_are_full(m))
		return;
	/* that needs somebody who has nothing else to do */
	if (abandoned_is_due(m))
		return;
	POOL_FOREACH (slot, m) {
		if (!may_have(m, slot))
			continue;
		if ((slot->next = stock_take(m)) == NULL)
			return;
		slot->next_cancelled = false;
		dispatch_next(slot);
	}
}

void
prefetch_begun(struct master *m, struct slot *slot)
{
	struct task *next = slot->next;
	bool cancelled = slot->next_cancelled;

	slot->next = NULL;
	dispatch_begin(m, slot, next);
	slot->cancelled = cancelled;
}

void
prefetch_returned(struct master *m, struct slot *slot)
{
	if (slot->next == NULL)
		return;
	if (slot->next_cancelled)
		free(slot->next);
	else
		stock_put(m, slot->next);
	slot->next = NULL;
	slot->slow = true;
}

void
prefetch_lapsed(struct slot *slot)
{
	if (slot->next == NULL || slot->next_cancelled)
		return;
	slot->next_cancelled = true;
	dispatch_send_cancel(slot, slot->next);
}

void
prefetch_cancel(struct slot *slot, int64_t task, int64_t claim)
{
	if (slot->next != NULL && slot->next->id == task && slot->next->claim == claim)
		prefetch_lapsed(slot);
}

void
prefetch_list(const struct master *m, struct sqlarray *ids, struct sqlarray *claims, struct sqlarray *workers)
{
	const struct slot *slot;

	POOL_FOREACH (slot, m) {
		if (slot->next == NULL || slot->next_cancelled)
			continue;
		sqlarray_add_int(ids, slot->next->id);
		sqlarray_add_int(claims, slot->next->claim);
		if (workers != NULL)
			sqlarray_add_int(workers, 0);
	}
}
