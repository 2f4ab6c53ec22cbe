#include "worker/pipe/silence.h"

#include <inttypes.h>
#include <string.h>

#include "worker/http/send.h"

/* True if nothing but the answer is missing. */
static bool
awaits_answer(const struct writer *w)
{
	int64_t sent;

	if (!w->sending || w->taken < w->size)
		return false;
	sent = http_sent(&w->put);
	return sent >= w->put.call.content_length && http_arrived(&w->put) >= sent;
}

int64_t
silence_limit(const struct writer *w)
{
	const struct config_worker *conf = &w->t->w->setup->config.worker;

	return awaits_answer(w) ? conf->answer_timeout_ms : conf->stall_timeout_ms;
}

int
silence_failed(const struct writer *w, struct failure *f)
{
	strlcpy(f->store, w->t->destination.store->conf.name, sizeof(f->store));
	failure_set(f, CLASS_TRANSIENT,
	    awaits_answer(w) ? "no answer for %" PRId64 " s after the last byte (destination side)"
			     : "no progress for %" PRId64 " s (destination side)",
	    silence_limit(w) / 1000);
	f->writes = true;
	return failure_suspect(f);
}
