/*
 * A request from start to result.  Each function starts it, waits for it in the loop and takes its
 * result; the caller releases the request afterwards, whatever came of it.
 */
#ifndef WORKER_EVENT_CALL_H
#define WORKER_EVENT_CALL_H

#include <stdint.h>

#include "worker/base/failure.h"
#include "worker/http/http.h"
#include "worker/worker.h"

/*
 * Tries once.  A request that changes the store waits until the lease holds.  Returns 0, or -1 with
 * a failure; -1 without one when the work was interrupted.
 */
int call_once(struct worker *w, struct http_request *r, struct failure *f);

/* Like call_once(), but repeats the request after a transient failure, twice at most. */
int call_repeat(struct worker *w, struct http_request *r, struct failure *f);

/*
 * For the clean-up of interrupted work: tries once, is not interrupted, and gives up at deadline
 * (clock_ms()).  Returns 0, or -1 with a failure.
 */
int call_insist(struct worker *w, struct http_request *r, int64_t deadline, struct failure *f);

#endif
