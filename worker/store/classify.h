/*
 * What an answer without success means, by one table for all dialects; and what mends
 * it: a setting, or the right that is missing.
 */
#ifndef WORKER_STORE_CLASSIFY_H
#define WORKER_STORE_CLASSIFY_H

#include "common/task.h"
#include "worker/base/failure.h"
#include "worker/store/store.h"

/*
 * The class for an HTTP status and the <Code> of the error document ("" if there is none).  404 on
 * HEAD or GET of a source is permanent; 412 and 416 on it mean that the source has changed.
 */
enum error_class store_classify(int status, const char *code, enum store_op op);

/* What mends the refusal with this code, for the store's section or the URI; NULL: not known. */
const char *store_mend(const char *code);

/*
 * Says whose trouble an answer is, whose class, status and code f has.  What is neither certainly
 * the store's nor the object's stays as failure_set() leaves it.  A refused URL is permanent: it
 * has its rights in itself.
 */
void store_blame(struct failure *f, enum store_kind kind);

/* The right that a key needs for the operation, as policies name it; NULL: the kind knows none. */
const char *store_right(enum store_kind kind, enum store_op op);

#endif
