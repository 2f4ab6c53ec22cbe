#include "worker/event/call.h"

#include "common/base/clock.h"
#include "worker/event/loop.h"
#include "worker/http/answer.h"
#include "worker/http/request.h"

static bool
is_done(void *arg, int64_t *wake)
{
	(void)wake;
	return http_is_done(arg);
}

/*
 * An Initiate whose answer was lost or cannot be read may have begun an upload whose id nobody
 * knows.  Sending it again could begin a second one.
 */
static bool
may_repeat(const struct http_request *r)
{
	return r->call.op != OP_INITIATE || http_did_nothing(r);
}

int
call_once(struct worker *w, struct http_request *r, struct failure *f)
{
	failure_init(f);
	if (http_writes(r) && loop_await_lease(w) == LOOP_INTERRUPTED)
		return -1;
	if (http_start(w->http, r, f) == -1)
		return -1;
	if (loop_wait(w, is_done, r, 0) == LOOP_INTERRUPTED) {
		http_abort(r);
		return -1;
	}
	return http_result(r, f);
}

int
call_repeat(struct worker *w, struct http_request *r, struct failure *f)
{
	int64_t at;
	int tries = 0;

	for (;;) {
		if (call_once(w, r, f) == 0)
			return 0;
		tries += failure_counts(f);
		at = may_repeat(r) ? failure_retry_at(f, tries, clock_ms()) : 0;
		if (at == 0)
			return -1;
		http_release(r);
		if (loop_wait(w, loop_never, NULL, at) == LOOP_INTERRUPTED) {
			failure_init(f);
			return -1;
		}
	}
}

int
call_insist(struct worker *w, struct http_request *r, int64_t deadline, struct failure *f)
{
	if (http_start(w->http, r, f) == -1)
		return -1;
	if (loop_insist(w, is_done, r, deadline) == LOOP_DEADLINE) {
		http_abort(r);
		return http_failure(r, f, CLASS_TRANSIENT, "no answer in time");
	}
	return http_result(r, f);
}
