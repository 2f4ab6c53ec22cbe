/*
 * Streams of unknown length.
 *
 * The ring holds a part and a little more.  While a part is sent nothing is read, so what was sent is still in the ring and
 * can be sent again.
 */
#include <inttypes.h>
#include <string.h>

#include "common/clock.h"
#include "common/units.h"
#include "worker/checkpoint.h"
#include "worker/crc64.h"
#include "worker/finish.h"
#include "worker/lease.h"
#include "worker/loop.h"
#include "worker/memory.h"
#include "worker/parts.h"
#include "worker/reader.h"
#include "worker/stream.h"
#include "worker/target.h"
#include "worker/upload.h"
#include "worker/writer.h"

#define STREAM_SPARE (1 << 20)	  /* of the ring, beyond a part: what reads bring too much */
#define STREAM_BUFFERS (2 << 20)  /* libcurl's */

struct stream {
	struct transfer *t;
	struct ring ring;
	struct reader reader;
	struct writer writer;
	bool failed;
};

/* The largest power of two that fits, and no larger than the configured part.  0 if the smallest part does not fit. */
static int64_t
stream_ring_size(const struct transfer *t)
{
	const struct config_worker *conf = &t->w->setup->config.worker;
	int64_t least = store_limits(t->target.store->conf.kind)->part_min + STREAM_SPARE;
	int64_t room = conf->memory - WORKER_BASE_MEMORY - STREAM_BUFFERS;
	int64_t most = parts_size_wanted(conf, -1);
	int64_t size = 2 * STREAM_SPARE;

	while (size * 2 <= room && (size * 2 <= most || size < least))
		size *= 2;
	return size >= least && size <= room ? size : 0;
}

static bool
stream_stalled(struct stream *s, int64_t moved, int64_t now, const char *side, int64_t *wake)
{
	int64_t limit = s->t->w->setup->config.worker.stall_timeout_ms;

	if (now - moved < limit) {
		*wake = clock_earlier(*wake, moved + limit);
		return false;
	}
	failure_set(&s->t->failure, CLASS_TRANSIENT, "no progress for %lld s (%s side)", (long long)(limit / 1000), side);
	return true;
}

static bool
stream_is_filled(void *arg, int64_t *wake)
{
	struct stream *s = arg;
	int64_t now = clock_ms();

	s->failed = reader_run(&s->reader, now, wake, &s->t->failure) == -1;
	if (s->failed || s->reader.ended || (int64_t)ring_used(&s->ring) >= s->t->part_size)
		return true;
	s->failed = stream_stalled(s, s->reader.moved_at, now, "source", wake);
	return s->failed;
}

/* Collects a part.  Returns its size, or -1. */
static int64_t
stream_fill(struct stream *s)
{
	int64_t used;

	s->reader.moved_at = clock_ms();
	if (loop_wait(s->t->w, stream_is_filled, s, 0) == -1 || s->failed)
		return -1;
	if (s->reader.reading && !s->reader.paused) {
		http_hold(&s->reader.get);
		s->reader.paused = true;
		s->reader.paused_at = clock_ms();
	}
	used = (int64_t)ring_used(&s->ring);
	return used < s->t->part_size ? used : s->t->part_size;
}

static bool
stream_is_sent(void *arg, int64_t *wake)
{
	struct stream *s = arg;
	int64_t now = clock_ms();

	s->failed = writer_run(&s->writer, now, wake, &s->t->failure) == -1;
	if (s->failed || s->writer.done)
		return true;
	s->failed = stream_stalled(s, s->writer.moved_at, now, "destination", wake);
	return s->failed;
}

/* Returns 0, or -1 after some tries. */
static int
stream_send(struct stream *s, int number, int64_t offset, int64_t size)
{
	uint64_t out = s->ring.out;
	int64_t at;
	int tries = 0;

	for (;;) {
		if (lease_await(s->t->w) == -1)
			return -1;
		failure_init(&s->t->failure);
		s->ring.out = out;
		s->t->puts++;
		writer_begin(&s->writer, number, offset, size, clock_ms());
		s->writer.sure = true;
		if (loop_wait(s->t->w, stream_is_sent, s, 0) == -1)
			return -1;
		if (!s->failed)
			return 0;
		writer_drop(&s->writer);
		at = failure_retry_at(&s->t->failure, ++tries, clock_ms());
		if (at == 0 || s->t->spoiled || loop_wait(s->t->w, loop_never, NULL, at) == -1)
			return -1;
	}
}

static bool
stream_at_end(const struct stream *s, int64_t size)
{
	return s->reader.ended && (int64_t)ring_used(&s->ring) == size;
}

/* What has come is a part; there may be more. */
static int
stream_part(struct stream *s, int number, int64_t size)
{
	struct transfer *t = s->t;

	if (number > store_limits(t->target.store->conf.kind)->parts_max)
		return failure_set(&t->failure, CLASS_PERMANENT,
		    "the source does not say its length and has more than %d parts of %" PRId64 " bytes, which is what memory allows",
		    store_limits(t->target.store->conf.kind)->parts_max, t->part_size);
	t->nparts = number;
	t->size = transfer_part_offset(t, number) + size;
	if (stream_send(s, number, transfer_part_offset(t, number), size) == -1)
		return -1;
	parts_take(t, number, s->writer.crc64, s->writer.etag);
	if (s->writer.framed)
		parts_take_crc32c(t, number, s->writer.crc32c);
	checkpoint_part(t, number);
	return 0;
}

static int
stream_check_size(struct transfer *t)
{
	t->streaming = false;
	checkpoint_total(t);
	if (!t->task->has_expect_size || t->task->expect_size == t->size)
		return 0;
	return failure_set(&t->failure, CLASS_PERMANENT, "the source has %" PRId64 " bytes, expect_size is %" PRId64,
	    t->size, t->task->expect_size);
}

/* All of it is in the ring: an object of one PUT, of known length at last. */
static int
stream_small(struct stream *s, int64_t size)
{
	struct transfer *t = s->t;

	t->size = size;
	t->nparts = 1;
	t->multipart = t->target.is_file;
	if (stream_check_size(t) == -1 || upload_begin(t) == -1)
		return -1;
	transfer_log_start(t);
	if (stream_send(s, 0, 0, size) == -1)
		return target_is_taken(t, &t->failure) ? target_meet(t) : -1;
	parts_take(t, 1, s->writer.crc64, s->writer.etag);
	if (s->writer.framed)
		parts_take_crc32c(t, 1, s->writer.crc32c);
	t->has_server_crc64 = s->writer.has_server_crc64;
	return 0;
}

static int
stream_move(struct stream *s)
{
	struct transfer *t = s->t;
	int64_t size = stream_fill(s);
	int number = 1;

	if (size == -1)
		return -1;
	if (stream_at_end(s, size))
		return stream_small(s, size);
	t->multipart = true;
	if (upload_begin(t) == -1)
		return -1;
	transfer_log_start(t);
	for (;;) {
		if (stream_part(s, number++, size) == -1)
			return -1;
		if (stream_at_end(s, 0))
			break;
		if ((size = stream_fill(s)) == -1)
			return -1;
		/* the end came just after a whole part */
		if (size == 0)
			break;
	}
	return stream_check_size(t);
}

int
stream_run(struct transfer *t)
{
	struct stream *s;
	int64_t size = stream_ring_size(t);
	int rc;

	if (size == 0)
		return failure_set(&t->failure, CLASS_PERMANENT,
		    "the source does not say its length, and a part of %" PRId64 " bytes does not fit in the worker's memory",
		    store_limits(t->target.store->conf.kind)->part_min);
	if (upload_drop(t) == -1)
		return -1;
	t->streaming = true;
	t->part_size = size - STREAM_SPARE;
	t->parts = memory_alloc((size_t)store_limits(t->target.store->conf.kind)->parts_max * sizeof(*t->parts));
	s = memory_alloc(sizeof(*s));
	s->t = t;
	ring_init(&s->ring, (size_t)size);
	reader_init(&s->reader, t->w, &t->source, &s->ring, BUFFERS_NORMAL);
	writer_init(&s->writer, t, &s->ring, BUFFERS_NORMAL);
	reader_begin(&s->reader, 0, -1, clock_ms());
	rc = stream_move(s);
	reader_drop(&s->reader);
	writer_release(&s->writer);
	ring_release(&s->ring);
	memory_free(s);
	if (rc == -1 || t->skipped)
		return rc;
	return finish(t);
}
