/*
 * Ends the claim of a worker: settles the row, or gives the task back.  The functions wait for the
 * database also when interrupted, but not beyond a stop's deadline.  They return CLAIM_OURS if the
 * row was written, CLAIM_REVOKED, or CLAIM_UNKNOWN if time ran out.
 */
#ifndef WORKER_TRANSFER_SETTLE_H
#define WORKER_TRANSFER_SETTLE_H

#include "worker/transfer/claim.h"

/* The task is done.  peak is the worker's peak memory in bytes. */
enum claim settle_done(struct transfer *t, int64_t peak);

/*
 * The task has failed for good.  CLAIM_REFUSED: the database does not let it end, and *refusal says
 * why.  A trigger of the database's users can do that.
 */
enum claim settle_failed(struct transfer *t, int64_t peak, struct failure *refusal);

/* It must not end, so it is tried again after the longest delay, uncounted. */
enum claim settle_refused(struct transfer *t, int64_t peak, const struct failure *refusal);

/*
 * The attempt has failed; the task will be tried again after a delay.  kept: bytes in finished
 * parts that the next attempt goes on with.  If they are more than after each attempt before, the
 * attempt is not counted.
 */
enum claim settle_retry(struct transfer *t, int64_t peak, int64_t kept);

/* Likewise, for a trouble that may pass without the task: it is tried again, uncounted. */
enum claim settle_postponed(struct transfer *t, int64_t peak, int64_t kept);

/* Gives the task back unfinished; nothing is counted against it. */
enum claim settle_requeue(struct transfer *t);

#endif
