/*
 * The pair and its retries.
 *
 * A failure of the source's side costs nothing but another GET from where it was, since what has come is in the ring or beyond it.
 * One of the destination's side starts the part over.
 */
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "worker/lease.h"
#include "worker/memory.h"
#include "worker/pipe.h"

#define PIPE_FRUGAL_RING (256 << 10)

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
		[BUFFERS_SMALL] = PIPE_FRUGAL_RING,
	};

	return sizes[buffers];
}

void
pipe_init(struct pipe *p, struct transfer *t)
{
	enum http_buffers buffers = t->opening.reader != NULL ? t->opening.reader->buffers : pipe_buffers(t, t->npipes);

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
	p->tries = 0;
	p->begun_at = now;
	p->retry_at = 0;
	p->t->puts++;
	reader_begin(p->reader, first, first + size, now);
	writer_begin(&p->writer, number, first, size, now);
}

static void
pipe_fail(struct pipe *p, const struct failure *f)
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

/* reading: the source's side failed, and the destination's can wait for it. */
static void
pipe_retry(struct pipe *p, const struct failure *f, bool reading, int64_t now)
{
	int64_t at;

	p->tries += !f->lapsed;
	at = failure_retry_at(f, p->tries, now);

	p->throttled += f->class == CLASS_THROTTLED;
	/* what was spoiled has to be removed before anything else is tried */
	if (at == 0 || p->t->spoiled) {
		pipe_fail(p, f);
		return;
	}
	log_debug("task %lld: part %d: %s; tried again", (long long)p->t->task->id, p->number, f->text);
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
pipe_restart(struct pipe *p, int64_t now)
{
	p->retry_at = 0;
	p->begun_at = now;
	p->t->puts++;
	p->reader->ended = false;
	reader_begin(p->reader, p->first, p->first + p->size, now);
	writer_begin(&p->writer, p->number, p->first, p->size, now);
}

static void
pipe_stall(struct pipe *p, bool source)
{
	int64_t limit = p->t->w->setup->config.worker.stall_timeout_ms;
	struct failure f;

	failure_init(&f);
	strlcpy(f.store, source ? p->t->source.store->conf.name : p->t->target.store->conf.name, sizeof(f.store));
	failure_set(&f, CLASS_TRANSIENT, "no progress for %lld s (%s side)", (long long)(limit / 1000),
	    source ? "source" : "destination");
	pipe_fail(p, &f);
}

/*
 * A side is at fault if it is its turn and it moves nothing, whatever the other one does meanwhile: the source while it may send,
 * the destination while there is something for it to take or all that is left is its answer.  Where it is nobody's turn, and
 * nothing moves in either direction, something is wrong all the same.
 */
static void
pipe_watch(struct pipe *p, int64_t now, int64_t *wake)
{
	int64_t limit = p->t->w->setup->config.worker.stall_timeout_ms;
	int64_t read = p->reader->moved_at, sent = p->writer.moved_at, moved = read > sent ? read : sent;
	bool reads = p->reader->reading && !p->reader->paused, sends = p->writer.sending && !p->writer.paused;

	if (sends && now - sent >= limit)
		pipe_stall(p, false);
	else if (reads && now - read >= limit)
		pipe_stall(p, true);
	else if (now - moved >= limit)
		pipe_stall(p, !p->reader->ended && !p->reader->paused);
	else
		*wake = clock_earlier(clock_earlier(*wake, moved + limit),
		    clock_earlier(sends ? sent + limit : 0, reads ? read + limit : 0));
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
		/* the master's word of it turns the loop */
		if (!lease_holds(p->t->w))
			return;
		pipe_restart(p, now);
	}
	failure_init(&f);
	if (reader_run(p->reader, now, wake, &f) == -1) {
		pipe_retry(p, &f, true, now);
		*wake = now;
		return;
	}
	p->writer.sure = reader_is_sure(p->reader, p->first + p->size);
	if (writer_run(&p->writer, now, wake, &f) == -1) {
		pipe_retry(p, &f, false, now);
		*wake = now;
		return;
	}
	/* what the writer took may be the room that the reader waits for */
	if (p->reader->paused && reader_run(p->reader, now, wake, &f) == -1) {
		pipe_retry(p, &f, true, now);
		*wake = now;
		return;
	}
	if (p->writer.done)
		p->state = PIPE_DONE;
	else
		pipe_watch(p, now, wake);
}
