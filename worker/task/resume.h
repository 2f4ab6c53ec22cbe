/*
 * Takes up the upload that an earlier attempt has begun, if it is still good for this source and
 * destination.  A part counts as done only if both the table and the destination know it.
 */
#ifndef WORKER_TASK_RESUME_H
#define WORKER_TASK_RESUME_H

#include "worker/transfer/plan.h"
#include "worker/transfer/transfer.h"

/*
 * Takes up the checkpoint's upload, else drops it and begins the upload that the plan needs.  what
 * is the plan that was made; it is made again if the upload turns out to be gone.  *completed says
 * that the destination has the whole object already.  Returns 0, or -1 with t->failure or
 * interrupted.
 */
int resume_or_begin(struct transfer *t, enum plan what, bool *completed);

#endif
