/*
 * Tasks that were claimed and that this node must not begin now (limits/admit.h): they go back to
 * the queue unbegun, in one statement for each claim.
 */
#ifndef MASTER_QUEUE_PUTOFF_H
#define MASTER_QUEUE_PUTOFF_H

#include "master/queue/queue.h"

/*
 * Takes the task, which is on the heap and the function's then, if it must not begin now.  Returns
 * whether it did.
 */
bool putoff_take(struct queue *q, struct task *task);

/* Gives back what was taken. */
void putoff_run(struct queue *q);

#endif
