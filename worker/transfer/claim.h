/*
 * What the database says of our claim, and of the upload that the task in work has.  The functions
 * wait also when interrupted, but not beyond a stop's deadline.
 */
#ifndef WORKER_TRANSFER_CLAIM_H
#define WORKER_TRANSFER_CLAIM_H

#include <stdbool.h>

#include "worker/transfer/transfer.h"

enum claim {
	CLAIM_OURS,
	CLAIM_CANCELLED, /* the task is cancelled, and no other worker has claimed it */
	CLAIM_REVOKED,
	CLAIM_REFUSED, /* ours, but the database does not let the task fail: settle_failed() only */
	CLAIM_UNKNOWN, /* the database did not answer in time */
};

/* Asks whether the claim is still ours. */
enum claim claim_ask(struct transfer *t);

/*
 * Whether the database has said that no row knows the upload, and that the task has not ended. Then
 * the database was restored to an earlier moment or has lost its last transactions, or a successor
 * has aborted the upload.  A row that is of the moment before the upload's id was known gets the
 * id: then it knows the upload.
 */
bool claim_upload_is_unknown(struct transfer *t, const char *upload_id);

#endif
