#include "worker/task/opening.h"

#include <inttypes.h>
#include <string.h>

#include "common/base/clock.h"
#include "worker/base/memory.h"
#include "worker/http/answer.h"
#include "worker/http/request.h"
#include "worker/event/loop.h"
#include "worker/transfer/plan.h"
#include "worker/pipe/pipe.h"
#include "worker/task/copy.h"

bool
opening_is_wanted(const struct transfer *t)
{
	/*
	 * The bytes would be read in vain if the first part is done already, if the destination's
	 * object must stay, or if the store copies.
	 */
	return !t->source.is_file && !t->checkpoint.found &&
	       t->task->if_exists == IF_EXISTS_OVERWRITE && !copy_is_possible(t);
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
is_answered(void *arg, int64_t *wake)
{
	const struct reader *r = arg;

	(void)wake;
	return r->checked || http_is_done(&r->get);
}

/* No byte of the body was taken: the GET has ended. */
static enum source_answer
take_bodiless(struct transfer *t)
{
	struct http_request *get = &t->opening.reader->get;
	enum source_answer answer = source_take_answer(t->w, &t->source, get, &t->failure);

	if (answer == SOURCE_PINNED && t->source.pin.size > 0) {
		http_foreign(get, &t->failure, CLASS_TRANSIENT, "has no body");
		return SOURCE_FAILED;
	}
	return answer;
}

/* The answer's head has come. */
static enum source_answer
take_answer(struct transfer *t)
{
	enum source_answer answer = t->opening.reader->checked ? SOURCE_PINNED : take_bodiless(t);

	/* an unsized source is read anew, into a larger ring; an empty one needs no GET */
	if (answer == SOURCE_PINNED && t->source.pin.size <= 0)
		opening_release(t);
	return answer;
}

/* Sends the GET, and waits for the head of its answer. */
static enum source_answer
open_once(struct transfer *t)
{
	const struct config_worker *conf = &t->w->setup->config.worker;
	int64_t now = clock_ms(), limit = conf->stall_timeout_ms + conf->connect_timeout_ms,
		wake = 0;
	struct opening *o = &t->opening;

	o->reader = memory_buffer(sizeof(*o->reader));
	ring_init(&o->ring, pipe_ring_size(pipe_buffers(t, 0)));
	reader_init(o->reader, t->w, &t->source, &o->ring, pipe_buffers(t, 0));
	/* no part but the last is smaller; another GET brings the rest of a larger one */
	reader_open(o->reader, plan_part_least(t), now);
	if (reader_run(o->reader, now, &wake, &t->failure) == -1)
		return SOURCE_FAILED;
	switch (loop_wait(t->w, is_answered, o->reader, now + limit)) {
	case LOOP_DONE:
		return take_answer(t);
	case LOOP_DEADLINE:
		http_failure(&o->reader->get, &t->failure, CLASS_TRANSIENT,
		    "no progress for %" PRId64 " s (source side)", limit / 1000);
		break;
	case LOOP_INTERRUPTED:
		break;
	}
	return SOURCE_FAILED;
}

/* f is &t->failure. */
static enum source_answer
try_opening(void *arg, struct failure *f)
{
	struct transfer *t = arg;
	enum source_answer answer = open_once(t);

	(void)f;
	if (answer != SOURCE_PINNED)
		opening_release(t);
	return answer;
}

int
opening_run(struct transfer *t)
{
	return source_ask(t->w, &t->source, try_opening, t, &t->failure);
}
