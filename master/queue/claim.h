/*
 * Claims tasks for idle workers and for the stock, and knows when the next claim is worth it.
 */
#ifndef MASTER_QUEUE_CLAIM_H
#define MASTER_QUEUE_CLAIM_H

#include "master/queue/queue.h"

/* Claims if that is due and there is a use for tasks. */
void claim_run(struct queue *q);
int64_t claim_deadline(const struct queue *q);

#endif
