/*
 * Decides how the object is made (t->way) and how large its parts are (t->part_size).
 */
#ifndef WORKER_TRANSFER_PLAN_H
#define WORKER_TRANSFER_PLAN_H

#include "worker/transfer/transfer.h"

/* What a plan is made for. */
enum plan {
	PLAN_SEND, /* the bytes pass here; t->size is known */
	PLAN_COPY, /* the store copies; t->size is known */
	PLAN_RESUME, /* the upload of the checkpoint goes on, for the same way */
	PLAN_UNSIZED, /* the bytes pass here; the source does not say its size */
	PLAN_ENDED, /* WAY_UNSIZED: the source has ended, and t->size is known */
};

/* An unsized source: what reads may bring beyond a part, in bytes. */
#define PLAN_SPARE (1 << 20)

/*
 * Sets way and part size, and makes the table of parts anew, but for PLAN_ENDED.  Returns 0, or -1
 * with a failure: too large for the store, or for our memory.
 */
int plan_make(struct transfer *t, enum plan what);

/* The smallest part size that PLAN_SEND may choose for any source, in bytes. */
int64_t plan_part_least(const struct transfer *t);

#endif
