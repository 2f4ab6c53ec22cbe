/*
 * Moves the parts that are left, several at once, each through a pipe.  Decides how many are in
 * flight, together with base/parallel.h.
 */
#ifndef WORKER_TASK_MOVE_H
#define WORKER_TASK_MOVE_H

#include "worker/transfer/transfer.h"

/* Moves all parts that are left.  Returns 0, or -1 with t->failure or interrupted. */
int move_parts(struct transfer *t);

/* Bytes of parts in flight that have left for the destination, for progress. */
int64_t move_in_flight(const struct transfer *t);

#endif
