/*
 * Tasks that are done and whose rows do not say so yet.  Workers report and go on to their next
 * task.  One statement at a time settles all results that have come since the last one: the busier
 * the pool, the more rows share a commit.  A task counts as done, and the log says so, when that
 * commit is answered.
 *
 * The claim guards each row of such a statement by itself.  While the database is away results wait
 * here.  If the master is killed meanwhile, their rows return to the queue with its lease, and the
 * next worker finds the object already there.
 */
#ifndef MASTER_QUEUE_DONE_H
#define MASTER_QUEUE_DONE_H

#include "master/queue/held.h"
#include "master/queue/queue.h"

#define DONE_MAX 2048 /* results that may wait: while there are more no task is given out */

void done_init(struct queue *q);

/* The slot's worker has reported that its task is done (or skipped): takes the result over. */
void done_add(struct queue *q, const struct slot *slot, const struct msg_result *result);

/* Settles the results that have come if that is due. */
void done_run(struct queue *q);
int64_t done_deadline(const struct queue *q);

/* Whether so many results wait that no task may be given out. */
bool done_is_full(const struct queue *q);

/* How many results are not settled. */
int done_count(const struct queue *q);

void done_walk(const struct queue *q, held_visit *visit, void *arg);

/* Forgets all results: their rows return to the queue with the lease. */
void done_discard(struct queue *q);

#endif
