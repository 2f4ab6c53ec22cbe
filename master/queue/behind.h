/*
 * Tasks that wait for an earlier one of their destination, and claims that were cancelled here and
 * that such tasks wait for: see "Newest wins" in the schema.
 */
#ifndef MASTER_QUEUE_BEHIND_H
#define MASTER_QUEUE_BEHIND_H

#include "master/queue/queue.h"

/* A claim has marked tasks: one of those that they wait for may have ended at the same moment. */
void behind_look_soon(struct queue *q);

/* A worker may have dropped a cancelled task. */
void behind_let_go(struct queue *q);

void behind_run(struct queue *q);
int64_t behind_deadline(const struct queue *q);

#endif
