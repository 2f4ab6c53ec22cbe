/*
 * A copy that the store makes itself, when source and destination are in the same store: no byte
 * passes here, no byte counts against a rate, and no checksum is computed here.  verify.c compares
 * what the store says of both ends.
 *
 * A small object is one CopyObject.  A large object, or one that must not replace another, is an
 * upload whose parts are copied: few stores know a condition on CopyObject, and before Complete the
 * destination is looked at once more.  Copied parts are checkpoints like others.  If the store
 * refuses to copy, the bytes pass here.
 */
#ifndef WORKER_TASK_COPY_H
#define WORKER_TASK_COPY_H

#include "worker/transfer/transfer.h"

/*
 * True if both ends are in one store whose configuration allows copies.  Known before the source
 * is.
 */
bool copy_is_possible(const struct transfer *t);

/* True if a copy is possible, and can be verified as configuration and task ask for. */
bool copy_applies(const struct transfer *t);

enum copy_end {
	COPY_FAILED = -1, /* with t->failure, or interrupted */
	COPY_DONE, /* the object is there and verified, or outcome.skipped */
	COPY_REFUSED, /* the store does not copy; nothing is left of the attempt */
};

/* Plans, copies and verifies. */
enum copy_end copy_run(struct transfer *t);

#endif
