/*
 * Where the bytes go: what is there already, and what the new object is told of itself.
 */
#ifndef WORKER_TARGET_H
#define WORKER_TARGET_H

#include "worker/transfer.h"

/* Takes apart the task's destination.  Returns 0 or -1 with t->failure. */
int target_init(struct transfer *t);

/*
 * Before anything is written: does if_exists allow it?  maybe_ours: what is there may be what this task has made.
 * Returns 0, with t->skipped if nothing is to be done, or -1.
 */
int target_look(struct transfer *t, bool maybe_ours);

/* The headers and metadata of the new object, from the source's and the task's. */
void target_describe(struct transfer *t);

/* A conditional PUT of the whole object was refused because of what is there.  Returns 0 (skipped), or -1. */
int target_meet(struct transfer *t);

/* True if the failure of a PUT or Complete says that somebody else's object is there, and if_exists forbids to replace it. */
bool target_is_taken(const struct transfer *t, const struct failure *f);

/* What if_exists makes of that.  Returns 0 with t->skipped, or -1 with the failure "destination exists". */
int target_exists(struct transfer *t);

/* A request about the destination. */
void target_prepare(struct transfer *t, struct http_request *r, enum store_op op);

#endif
