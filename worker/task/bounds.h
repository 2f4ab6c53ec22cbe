/*
 * The bounds that the configuration sets to a task: max_size, max_duration, min_rate.
 */
#ifndef WORKER_TASK_BOUNDS_H
#define WORKER_TASK_BOUNDS_H

#include "worker/transfer/transfer.h"

/* The source has at least size bytes; -1: not known.  Returns 0, or -1 with t->failure. */
int bounds_check_size(struct transfer *t, int64_t size);

/*
 * While bytes move: moved of them so far.  The rate is that of each full minute, and not looked at
 * while a limit of ours slows the transfer, or the store copies by itself.  Returns 0, with *wake,
 * or -1 with t->failure.
 */
int bounds_check_pace(struct transfer *t, int64_t moved, int64_t now, int64_t *wake);

#endif
