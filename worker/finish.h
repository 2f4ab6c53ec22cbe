/*
 * The end of a transfer: the object put together, and held against what was sent.
 */
#ifndef WORKER_FINISH_H
#define WORKER_FINISH_H

#include "worker/transfer.h"

/*
 * All parts are there.  Completes and verifies.  Returns 0 with t->crc64, t->etag and t->verified_by (or t->skipped), or -1.
 */
int finish(struct transfer *t);

/* Of an upload that the store knows no more and whose Complete was about to be sent: did it succeed? */
int finish_was_completed(struct transfer *t, bool *completed);

#endif
