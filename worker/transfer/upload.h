/*
 * The upload of a transfer: a multipart upload, or the temporary file that stands for one.
 */
#ifndef WORKER_TRANSFER_UPLOAD_H
#define WORKER_TRANSFER_UPLOAD_H

#include "worker/transfer/transfer.h"

/*
 * Begins the upload that t->way needs, if any.  Its row comes first, so that a row knows each
 * upload that may exist.  Returns 0, or -1 with t->failure or interrupted.
 */
int upload_begin(struct transfer *t);

/*
 * Abandons, aborts and forgets the upload that is open or in the checkpoint.  An upload that cannot
 * be aborted now stays abandoned, for the reaper.  Returns 0, or -1 when interrupted.
 */
int upload_drop(struct transfer *t);

/*
 * Aborts the upload at the destination only, by deadline at the latest, interrupted or not. Returns
 * 0 if the upload is gone.
 */
int upload_abort_now(struct transfer *t, const char *upload_id, int64_t deadline);

#endif
