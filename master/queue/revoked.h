/*
 * Notices claims that are revoked: the task was cancelled, or another node has it by now.  Workers
 * are told to drop such tasks, and the stock forgets them.  The same check writes into the row
 * which worker carries a task that was claimed ahead.
 */
#ifndef MASTER_QUEUE_REVOKED_H
#define MASTER_QUEUE_REVOKED_H

#include "master/queue/queue.h"

/* Checks all tasks of this node if that is due. */
void revoked_run(struct queue *q);
int64_t revoked_deadline(const struct queue *q);

#endif
