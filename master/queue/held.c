#include "master/queue/held.h"

#include "master/queue/deaths.h"
#include "master/queue/done.h"
#include "master/queue/stock.h"

struct lists {
	struct sqlarray *ids;
	struct sqlarray *claims;
};

static void
walk_slots(const struct pool *p, held_visit *visit, void *arg)
{
	const struct slot *slot;
	struct held held;

	POOL_FOREACH (slot, p) {
		if (slot->task != NULL) {
			held = (struct held){ HELD_WORK, slot->task->id, slot->task->claim,
				slot->number, slot->cancelled };
			visit(arg, &held);
		}
		if (slot->next != NULL) {
			held = (struct held){ HELD_NEXT, slot->next->id, slot->next->claim, 0,
				slot->next_cancelled };
			visit(arg, &held);
		}
	}
}

void
held_walk(const struct queue *q, held_visit *visit, void *arg)
{
	walk_slots(q->pool, visit, arg);
	deaths_walk(q, visit, arg);
	done_walk(q, visit, arg);
	stock_walk(q, visit, arg);
}

static void
append(void *arg, const struct held *held)
{
	struct lists *lists = arg;

	if (held->place == HELD_NEXT && held->cancelled)
		return;
	sqlarray_add_int(lists->ids, held->task);
	sqlarray_add_int(lists->claims, held->claim);
}

void
held_list(const struct queue *q, struct sqlarray *ids, struct sqlarray *claims)
{
	struct lists lists = { ids, claims };

	held_walk(q, append, &lists);
}
