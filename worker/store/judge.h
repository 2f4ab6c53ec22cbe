/*
 * Is an answer the store's own?  A proxy, a login page or a broken server in between answers, too.
 * Such an answer is no object, makes none, and does not say that there is none.  All requests are
 * judged here, by what the protocols say that each answer has: the table in ferry(7).
 *
 * Each function returns NULL for the store's own answer, else what is wrong with it, as the end of
 * a sentence that begins with "the answer".
 */
#ifndef WORKER_STORE_JUDGE_H
#define WORKER_STORE_JUDGE_H

#include "worker/store/store.h"
#include "worker/store/xml.h"

/*
 * True if the head does not say clearly where the body ends.  Then neither the body nor what
 * follows on the connection can be read.
 */
bool store_is_misframed(const struct object_info *info);

/* Judges the head, before any byte of the body is taken. */
const char *store_judge_head(enum store_kind kind, const struct store_call *call, int status,
    const struct object_info *info);

/*
 * Judges an error that would be a verdict on the object or on our keys: 401, 403, 404 and 410.
 * Stores answer with a document of theirs, or name the request; a page of HTML is somebody else's.
 * has_error: the body is an S3 error document.
 */
const char *store_judge_error(
    enum store_kind kind, int status, const struct object_info *info, bool has_error);

/* True if a document answers the operation. */
bool store_answers_document(enum store_op op);

/*
 * Judges a document that is well-formed.  An <Error> in a 2xx passes where the protocols know it,
 * for Complete and copies: the caller reads its code.
 */
const char *store_judge_document(const struct store_call *call, const struct s3xml *xml);

#endif
