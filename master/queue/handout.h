/*
 * Gives out the tasks that are claimed ahead: to idle workers, and to busy ones as their next task.
 *
 * A busy worker may hold its next task, so that it does not wait for the master between two tasks.
 * Next tasks come from the stock, so there are some only while tasks end in quick succession and
 * nothing is limited.  The master never asks for a next task back.  A worker that stays busy
 * returns it; if the worker exits first, the task was never started.  A worker reports the end of a
 * task before it begins the next one, so at each moment it is certain which one is in work.
 */
#ifndef MASTER_QUEUE_HANDOUT_H
#define MASTER_QUEUE_HANDOUT_H

#include "master/queue/queue.h"

/* Gives idle workers what is due, reaping first, and busy workers their next tasks. */
void handout_run(struct queue *q);
int64_t handout_deadline(const struct queue *q);

/* The worker does not begin its next task, or is gone: another worker may have it. */
void handout_returned(struct queue *q, struct slot *slot);

#endif
