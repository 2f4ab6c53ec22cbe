/*
 * What this node holds.  A task of ours is in exactly one of these places:
 *
 *   HELD_STOCK   claimed ahead, and no worker has it (stock.c)
 *   HELD_NEXT    a busy worker may begin it next (slot.next, handout.c)
 *   HELD_WORK    a worker carries it (slot.task, assign.c)
 *   HELD_DEATH   its worker died, and its row is not settled yet (deaths.c)
 *   HELD_DONE    it is done, and its row is not settled yet (done.c)
 *
 * A worker settles all other ends itself: then the task is in no place here, nor is it running.
 */
#ifndef MASTER_QUEUE_HELD_H
#define MASTER_QUEUE_HELD_H

#include "master/node/sqlarray.h"
#include "master/queue/queue.h"

enum held_place { HELD_STOCK, HELD_NEXT, HELD_WORK, HELD_DEATH, HELD_DONE };

struct held {
	enum held_place place;
	int64_t task;
	int64_t claim;
	int worker; /* number of the slot in HELD_WORK; else 0 */
	bool cancelled; /* the worker was told to drop it */
};

typedef void held_visit(void *arg, const struct held *held);

/* Visits every task that this node holds. */
void held_walk(const struct queue *q, held_visit *visit, void *arg);

/*
 * Appends tasks and claims of all that this node holds, apart from next tasks that their workers
 * were told to drop.
 */
void held_list(const struct queue *q, struct sqlarray *ids, struct sqlarray *claims);

#endif
