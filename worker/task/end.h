/*
 * The end of a task in the worker: what becomes of its row, its upload and its object.
 */
#ifndef WORKER_TASK_END_H
#define WORKER_TASK_END_H

#include <stdint.h>

#include "common/task.h"
#include "worker/transfer/transfer.h"

/*
 * Ends the task after the transfer returned rc: 0, or -1 with t->failure, or -1 if it was
 * interrupted.  Settles the row unless the task is done.  peak is the worker's peak memory in
 * bytes.
 */
enum task_result end_task(struct transfer *t, int rc, int64_t peak);

#endif
