/*
 * Makes the object out of what was sent, and has it verified.
 */
#ifndef WORKER_TRANSFER_FINISH_H
#define WORKER_TRANSFER_FINISH_H

#include "worker/transfer/transfer.h"

/*
 * Completes and verifies, after all parts are done.  Returns 0 with the outcome's crc64, etag and
 * verified_by, or with outcome.skipped; -1 with t->failure or interrupted.
 */
int finish(struct transfer *t);

/*
 * Looks whether an earlier attempt's Complete has made the object.  The store does not know the
 * upload any more, and its parts are in the table.  Returns 0 or -1.
 */
int finish_was_completed(struct transfer *t, bool *completed);

#endif
