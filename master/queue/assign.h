/*
 * Orders to workers about tasks.
 */
#ifndef MASTER_QUEUE_ASSIGN_H
#define MASTER_QUEUE_ASSIGN_H

#include "master/queue/queue.h"

/* Gives an idle worker the task, which is on the heap and the slot's from now on. */
void assign_task(struct queue *q, struct slot *slot, struct task *task);

/* Sends a busy worker the task that it may begin next; it is the slot's from now on. */
void assign_next(struct queue *q, struct slot *slot, struct task *task);

/* The worker begins its next task. */
void assign_begun(struct queue *q, struct slot *slot);

/* Tells the worker to drop the task in work: it was cancelled, or its claim is revoked. */
void assign_cancel(struct slot *slot);

/* The same of its next task. */
void assign_cancel_next(struct slot *slot);

#endif
