/*
 * Requeues tasks that the table calls running and that no worker carries: those of nodes whose
 * lease has lapsed, our own when the answer to a claim was lost, our own when we leave.
 */
#ifndef MASTER_QUEUE_REQUEUE_H
#define MASTER_QUEUE_REQUEUE_H

#include "master/queue/queue.h"

/*
 * Does what the agenda says under rescue and reconcile.  Reconciling waits for the answer to a
 * claim that is under way.
 */
void requeue_run(struct queue *q);

/*
 * Submits the last statement, once: it requeues all that this node still holds and removes its row.
 * Returns false if it was submitted before, or if there is no row or no database.
 */
bool requeue_leave(struct queue *q);

/* Whether the last statement is answered. */
bool requeue_has_left(const struct queue *q);

#endif
