/*
 * What a request's outcome means: http_failure() and http_foreign() are for callers that find fault
 * with an answer themselves; http_result() (request.h) classifies all others.
 */
#ifndef WORKER_HTTP_ANSWER_H
#define WORKER_HTTP_ANSWER_H

#include "worker/http/http.h"

/* Fills in f with "STORE: OPERATION: " before the text, and with the status.  Returns -1. */
int http_failure(const struct http_request *r, struct failure *f, enum error_class class,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/*
 * Likewise for an answer that is not what was asked for: why is the end of a sentence that begins
 * with "the answer".  The text also says what came: status, type, server, beginning of the body.
 */
int http_foreign(
    const struct http_request *r, struct failure *f, enum error_class class, const char *why);

/*
 * After a failure because of the store's keys: if they may have been renewed, or may be now, the
 * failure says when the request is asked again.
 */
void http_await_keys(struct http_request *r, struct failure *f);

#endif
