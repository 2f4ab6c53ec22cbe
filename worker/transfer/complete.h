/*
 * Completes a multipart upload, and has the object verified.  Decides what is there when the answer
 * to a Complete leaves a doubt, and never replaces an object that must stay.
 */
#ifndef WORKER_TRANSFER_COMPLETE_H
#define WORKER_TRANSFER_COMPLETE_H

#include "worker/transfer/transfer.h"

/*
 * Completes and verifies, after all parts are done.  Returns 0 with the outcome's crc64, etag and
 * verified_by, or with outcome.skipped; -1 with t->failure or interrupted.
 */
int complete_upload(struct transfer *t);

#endif
