/*
 * Opening by GET: redirects, empty objects, retries.
 */
#include <string.h>

#include "common/clock.h"
#include "worker/copy.h"
#include "worker/loop.h"
#include "worker/memory.h"
#include "worker/opening.h"
#include "worker/parts.h"
#include "worker/pipe.h"

/* What a plan starts from: a smaller part than this there is none but the last.  A larger one goes on with another GET. */
static int64_t
opening_range(const struct transfer *t)
{
	int64_t size = parts_size_least(&t->w->setup->config.worker), least = store_limits(t->target.store->conf.kind)->part_min;

	return size > least ? size : least;
}

bool
opening_is_wanted(const struct transfer *t)
{
	/* a checkpoint may have the first part, what is at the destination may have to be left alone, the store may copy by itself */
	return !t->source.is_file && !t->checkpoint.found && t->task->if_exists == IF_EXISTS_OVERWRITE && !copy_is_possible(t);
}

void
opening_release(struct transfer *t)
{
	if (t->opening.reader == NULL)
		return;
	reader_drop(t->opening.reader);
	memory_free(t->opening.reader);
	t->opening.reader = NULL;
	ring_release(&t->opening.ring);
}

void
opening_watch(struct transfer *t, int64_t now)
{
	if (t->opening.reader != NULL)
		reader_watch_pause(t->opening.reader, now);
}

static bool
opening_is_answered(void *arg, int64_t *wake)
{
	const struct reader *r = arg;

	(void)wake;
	return r->checked || r->get.done;
}

/* No first byte: an empty object, of which the answer says nothing else. */
static int
opening_empty(struct transfer *t)
{
	struct failure *f = &t->failure;

	opening_release(t);
	failure_init(f);
	if (!t->source.is_url)
		return source_open(t->w, &t->source, f);
	t->source.size = 0;
	t->source.ranges = false;
	return 0;
}

/* The answer's head is there.  Returns 1 if it leads elsewhere, 0, or -1. */
static int
opening_take(struct transfer *t)
{
	struct reader *r = t->opening.reader;
	struct failure *f = &t->failure;
	const char *url;

	if (!r->checked && t->source.is_url && (url = http_redirect(&r->get)) != NULL)
		return source_follow(t->w, &t->source, url, f) == -1 ? -1 : 1;
	if (!r->checked) {
		/* over, and no byte of a body came */
		if (http_result(&r->get, f) == -1)
			return r->get.status == 416 ? opening_empty(t) : -1;
		if (source_pin_answer(&t->source, &r->get, f) == -1)
			return http_failure(&r->get, f, f->class, "%s", f->text);
		if (t->source.size > 0)
			return http_failure(&r->get, f, CLASS_TRANSIENT, "no body");
	}
	/* a part of unknown length is collected in a larger ring */
	if (t->source.size <= 0)
		opening_release(t);
	return 0;
}

static int
opening_once(struct transfer *t)
{
	const struct config_worker *conf = &t->w->setup->config.worker;
	int64_t now = clock_ms(), limit = conf->stall_timeout_ms + conf->connect_timeout_ms, wake = 0;
	struct opening *o = &t->opening;

	failure_init(&t->failure);
	o->reader = memory_buffer(sizeof(*o->reader));
	ring_init(&o->ring, pipe_ring_size(pipe_buffers(t, 0)));
	reader_init(o->reader, t->w, &t->source, &o->ring, pipe_buffers(t, 0));
	reader_open(o->reader, opening_range(t), now);
	if (reader_run(o->reader, now, &wake, &t->failure) == -1)
		return -1;
	switch (loop_wait(t->w, opening_is_answered, o->reader, now + limit)) {
	case 0:
		return opening_take(t);
	case 1:
		return http_failure(&o->reader->get, &t->failure, CLASS_TRANSIENT,
		    "no progress for %lld s (source side)", (long long)(limit / 1000));
	default:
		return -1;
	}
}

int
opening_run(struct transfer *t)
{
	int redirects = 0, tries = 0, rc;
	int64_t at;

	for (;;) {
		if ((rc = opening_once(t)) == 0)
			return 0;
		opening_release(t);
		if (rc == 1) {
			if (++redirects <= SOURCE_REDIRECTS_MAX)
				continue;
			return failure_set(&t->failure, CLASS_PERMANENT, "source: more than %d redirects", SOURCE_REDIRECTS_MAX);
		}
		at = worker_interrupted(t->w) ? 0 : failure_retry_at(&t->failure, ++tries, clock_ms());
		if (at == 0)
			return -1;
		if (loop_wait(t->w, loop_never, NULL, at) == -1) {
			failure_init(&t->failure);
			return -1;
		}
	}
}
