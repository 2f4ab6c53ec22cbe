/*
 * The multipart upload of a transfer, or the temporary file that stands for one: begun, taken up again, aborted.
 */
#ifndef WORKER_UPLOAD_H
#define WORKER_UPLOAD_H

#include "worker/transfer.h"

/*
 * Takes up the upload that the checkpoint names if it is still good for this source and destination, else drops it and begins
 * anew where the plan needs one.  Returns 0, or -1; *completed says that the destination has the whole object already.
 */
int upload_open(struct transfer *t, bool *completed);

/* Begins one for the plan. */
int upload_begin(struct transfer *t);

/*
 * Abandons, aborts and forgets the upload that is open or in the checkpoint.  What cannot be aborted now stays abandoned, for
 * the reaper.  Returns 0, or -1 when interrupted.
 */
int upload_drop(struct transfer *t);

/* Aborts at the destination only, by deadline at the latest, interrupted or not.  Returns 0 if it is gone. */
int upload_abort_now(struct transfer *t, const char *upload_id, int64_t deadline);

#endif
