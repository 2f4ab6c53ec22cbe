/*
 * Sources that do not say how long they are.  A store must know the length of each body before it
 * comes, so each part is collected in memory and then sent: one stream, and a ring of one part, as
 * large as the memory cap allows.
 */
#ifndef WORKER_TASK_UNSIZED_H
#define WORKER_TASK_UNSIZED_H

#include "worker/transfer/transfer.h"

/* Plans, moves and finishes.  Returns 0, or -1 with t->failure or interrupted. */
int unsized_run(struct transfer *t);

#endif
