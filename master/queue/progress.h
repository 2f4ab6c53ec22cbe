/*
 * How far the running tasks are, in their rows: the bytes of finished parts and of parts in flight,
 * as the workers last said.  One statement for all tasks of this node, every two seconds at most,
 * and none while no worker has said anything new.  A task that ends within a second costs nothing.
 */
#ifndef MASTER_QUEUE_PROGRESS_H
#define MASTER_QUEUE_PROGRESS_H

#include "common/channel.h"
#include "master/queue/queue.h"

/* The slot's worker has said how far its task is. */
void progress_note(struct queue *q, struct slot *slot, const struct msg_progress *progress);

/* Writes what is new if that is due. */
void progress_run(struct queue *q);
int64_t progress_deadline(const struct queue *q);

#endif
