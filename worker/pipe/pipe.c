/*
 * If the source's side fails, another GET continues where this one has stopped: the bytes so far
 * are in the ring or have left it.  If the destination's side fails, the part starts over.
 */
#include "worker/pipe/pipe.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "worker/base/memory.h"
#include "worker/pipe/silence.h"
#include "worker/session/lease.h"

#define FRUGAL_RING (256 << 10)

enum http_buffers
pipe_buffers(const struct transfer *t, int i)
{
	if (t->task->frugal)
		return BUFFERS_SMALL;
	return i < config_large_pipes(&t->w->setup->config.worker) ? BUFFERS_LARGE : BUFFERS_NORMAL;
}

size_t
pipe_ring_size(enum http_buffers buffers)
{
	static const size_t sizes[] = {
		[BUFFERS_NORMAL] = WORKER_RING_SIZE,
		[BUFFERS_LARGE] = 2 * WORKER_RING_SIZE,
		[BUFFERS_SMALL] = FRUGAL_RING,
	};

	return sizes[buffers];
}

void
pipe_init(struct pipe *p, struct transfer *t)
{
	enum http_buffers buffers =
	    t->opening.reader != NULL ? t->opening.reader->buffers : pipe_buffers(t, t->npipes);

	memset(p, 0, offsetof(struct pipe, writer));
	p->t = t;
	if (t->opening.reader != NULL) {
		p->ring = t->opening.ring;
		p->reader = t->opening.reader;
		p->reader->ring = &p->ring;
		t->opening.reader = NULL;
	} else {
		ring_init(&p->ring, pipe_ring_size(buffers));
		p->reader = memory_buffer(sizeof(*p->reader));
		reader_init(p->reader, t->w, &t->source, &p->ring, buffers);
	}
	writer_init(&p->writer, t, &p->ring, buffers);
}

void
pipe_release(struct pipe *p)
{
	reader_drop(p->reader);
	memory_free(p->reader);
	writer_release(&p->writer);
	ring_release(&p->ring);
}

void
pipe_begin(struct pipe *p, int number, int64_t first, int64_t size, int64_t now)
{
	p->state = PIPE_BUSY;
	p->number = number;
	p->first = first;
	p->size = size;
	p->puts = 0;
	p->begun_at = now;
	p->retry_at = 0;
	p->t->puts++;
	reader_begin(p->reader, first, first + size, now);
	writer_begin(&p->writer, number, first, size, now);
}

static void
fail(struct pipe *p, const struct failure *f)
{
	reader_drop(p->reader);
	writer_drop(&p->writer);
	p->failure = *f;
	p->state = PIPE_FAILED;
}

void
pipe_return(struct pipe *p)
{
	reader_drop(p->reader);
	writer_drop(&p->writer);
	p->reader->ended = false;
	p->retry_at = 0;
	p->state = PIPE_RETURNED;
}

/* The source must be read again, but nothing shows whether it is still the same. */
static void
fail_unpinned(struct pipe *p, const struct failure *f)
{
	fail(p, f);
	snprintf(p->failure.text, sizeof(p->failure.text),
	    "%.400s; the source has neither a strong ETag nor a Last-Modified that counts, so the "
	    "task starts over",
	    f->text);
}

/* reading: the source's side failed, and the destination's side can wait. */
static void
retry(struct pipe *p, const struct failure *f, bool reading, int64_t now)
{
	int64_t at;

	p->puts += !reading && failure_counts(f);
	at = failure_retry_at(
	    f, reading ? patience_count(&p->reader->patience, p->reader->offset, f) : p->puts, now);
	p->throttled += f->class == CLASS_THROTTLED;
	if (!reading)
		writer_note_damage(&p->writer, f);
	/* a spoiled object must be removed before the next try */
	if (at == 0 || p->t->outcome.spoiled) {
		fail(p, f);
		return;
	}
	if (!reader_may_read(p->reader, reading ? p->reader->offset : p->first)) {
		fail_unpinned(p, f);
		return;
	}
	task_log(p->t->task, LOG_DEBUG, ": part %d: %s; tried again", p->number, f->text);
	if (reading) {
		p->begun_at = at;
		reader_again(p->reader, at);
		return;
	}
	writer_drop(&p->writer);
	reader_drop(p->reader);
	p->retry_at = at;
}

static void
restart(struct pipe *p, int64_t now)
{
	p->retry_at = 0;
	p->begun_at = now;
	p->t->puts++;
	p->reader->ended = false;
	reader_begin(p->reader, p->first, p->first + p->size, now);
	writer_begin(&p->writer, p->number, p->first, p->size, now);
}

static void
stall(struct pipe *p, bool source, int64_t now)
{
	int64_t limit = p->t->w->setup->config.worker.stall_timeout_ms;
	struct failure f;

	failure_init(&f);
	if (!source) {
		silence_failed(&p->writer, &f);
		fail(p, &f);
		return;
	}
	strlcpy(f.store, p->t->source.store->conf.name, sizeof(f.store));
	failure_set(
	    &f, CLASS_TRANSIENT, "no progress for %" PRId64 " s (source side)", limit / 1000);
	failure_suspect(&f);
	if (patience_gained(&p->reader->patience, p->reader->offset))
		retry(p, &f, true, now);
	else
		fail(p, &f);
}

/*
 * A side has stalled if it is its turn and it moves nothing, whatever the other side does.  It is
 * the source's turn while the GET is not paused; the destination's while the PUT is not paused,
 * also when only its answer is missing, for which it has more time.  If it is the turn of neither
 * and nothing moves for as long, the pipe has stalled too.
 */
static void
watch(struct pipe *p, int64_t now, int64_t *wake)
{
	int64_t limit = p->t->w->setup->config.worker.stall_timeout_ms;
	int64_t answer = silence_limit(&p->writer), read = p->reader->moved_at,
		sent = p->writer.moved_at, moved = read > sent ? read : sent;
	bool reads = p->reader->reading && !p->reader->paused,
	     sends = p->writer.sending && !p->writer.paused;

	if (sends && now - sent >= answer)
		stall(p, false, now);
	else if (reads && now - read >= limit)
		stall(p, true, now);
	else if (now - moved >= (sends ? answer : limit))
		stall(p, !p->reader->ended && !p->reader->paused, now);
	else
		*wake = clock_earlier(clock_earlier(*wake, moved + (sends ? answer : limit)),
		    clock_earlier(sends ? sent + answer : 0, reads ? read + limit : 0));
}

void
pipe_run(struct pipe *p, int64_t now, int64_t *wake)
{
	struct failure f;

	if (p->state != PIPE_BUSY)
		return;
	if (p->retry_at != 0) {
		if (now < p->retry_at) {
			*wake = clock_earlier(*wake, p->retry_at);
			return;
		}
		/* the message that renews the lease turns the loop */
		if (!lease_holds(p->t->w))
			return;
		restart(p, now);
	}
	failure_init(&f);
	if (reader_run(p->reader, now, wake, &f) == -1) {
		retry(p, &f, true, now);
		*wake = now;
		return;
	}
	p->writer.sure = reader_is_sure(p->reader, p->first + p->size);
	if (writer_run(&p->writer, now, wake, &f) == -1) {
		retry(p, &f, false, now);
		*wake = now;
		return;
	}
	/* the writer may have made the room that the reader waits for */
	if (p->reader->paused && reader_run(p->reader, now, wake, &f) == -1) {
		retry(p, &f, true, now);
		*wake = now;
		return;
	}
	if (p->writer.done)
		p->state = PIPE_DONE;
	else
		watch(p, now, wake);
}
