/*
 * The ring holds a part and PLAN_SPARE.  While a part is sent nothing is read, so the part stays in
 * the ring and can be sent again.
 */
#include "worker/task/unsized.h"

#include <inttypes.h>
#include <string.h>

#include "common/base/clock.h"
#include "worker/base/memory.h"
#include "worker/event/loop.h"
#include "worker/transfer/blame.h"
#include "worker/transfer/checkpoint.h"
#include "worker/transfer/destination.h"
#include "worker/transfer/finish.h"
#include "worker/transfer/limits.h"
#include "worker/transfer/parts.h"
#include "worker/transfer/plan.h"
#include "worker/transfer/upload.h"
#include "worker/pipe/reader.h"
#include "worker/pipe/silence.h"
#include "worker/pipe/writer.h"
#include "worker/task/bounds.h"

struct unsized {
	struct transfer *t;
	struct ring ring;
	struct reader reader;
	struct writer writer;
	bool failed; /* the step in hand, with t->failure */
	bool ended; /* a bound of the task ends the attempt */
};

/* True if limit ms are over since something moved; else *wake says when they will be. */
static bool
is_over(int64_t moved, int64_t limit, int64_t now, int64_t *wake)
{
	if (now - moved >= limit)
		return true;
	*wake = clock_earlier(*wake, moved + limit);
	return false;
}

static bool
is_too_slow(struct unsized *u, int64_t now, int64_t *wake)
{
	/* a part is read, and then sent */
	int64_t moved = (u->reader.offset + u->writer.offset + u->writer.taken) / 2;

	u->ended = bounds_check_pace(u->t, moved, now, wake) == -1;
	return u->ended;
}

/*
 * The GET failed.  Another one begins anew, and leaves out the bytes that have come, if the pin
 * tells that they are the same.  Returns false if there is no other.
 */
static bool
read_again(struct unsized *u, int64_t now)
{
	struct reader *r = &u->reader;
	int64_t at = failure_retry_at(
	    &u->t->failure, patience_count(&r->patience, r->offset, &u->t->failure), now);

	if (at == 0 || !reader_may_read(r, r->offset))
		return false;
	failure_init(&u->t->failure);
	reader_again(r, at);
	return true;
}

static bool
is_filled(void *arg, int64_t *wake)
{
	struct unsized *u = arg;
	int64_t limit = u->t->w->setup->config.worker.stall_timeout_ms, now = clock_ms();

	u->failed = false;
	if (reader_run(&u->reader, now, wake, &u->t->failure) == 0) {
		u->failed =
		    bounds_check_size(u->t, u->reader.offset) == -1 || is_too_slow(u, now, wake);
		if (u->failed || u->reader.ended || (int64_t)ring_used(&u->ring) >= u->t->part_size)
			return true;
		if (!is_over(u->reader.moved_at, limit, now, wake))
			return false;
		failure_set(&u->t->failure, CLASS_TRANSIENT,
		    "no progress for %" PRId64 " s (source side)", limit / 1000);
		strlcpy(u->t->failure.store, u->t->source.store->conf.name,
		    sizeof(u->t->failure.store));
		failure_suspect(&u->t->failure);
		/* a source that sends nothing at all is not waited for twice */
		u->failed = !patience_gained(&u->reader.patience, u->reader.offset);
	}
	if (!u->failed)
		u->failed = !read_again(u, now);
	*wake = now;
	return u->failed;
}

/* Collects a part.  Returns its size, or -1. */
static int64_t
fill(struct unsized *u)
{
	int64_t used;

	u->reader.moved_at = clock_ms();
	if (loop_wait(u->t->w, is_filled, u, 0) == LOOP_INTERRUPTED || u->failed)
		return -1;
	if (u->reader.reading && !u->reader.paused) {
		http_hold(&u->reader.get);
		u->reader.paused = true;
		u->reader.paused_at = clock_ms();
	}
	used = (int64_t)ring_used(&u->ring);
	return used < u->t->part_size ? used : u->t->part_size;
}

static bool
is_sent(void *arg, int64_t *wake)
{
	struct unsized *u = arg;
	int64_t now = clock_ms();

	u->failed =
	    writer_run(&u->writer, now, wake, &u->t->failure) == -1 || is_too_slow(u, now, wake);
	if (u->failed || u->writer.done)
		return true;
	u->failed = is_over(u->writer.moved_at, silence_limit(&u->writer), now, wake);
	if (u->failed)
		silence_failed(&u->writer, &u->t->failure);
	return u->failed;
}

/* Sends a part; tries again after a transient failure.  number 0: the whole object in one PUT. */
static int
send_part(struct unsized *u, int number, int64_t offset, int64_t size)
{
	uint64_t out = u->ring.out; /* where the part begins in the ring */
	int64_t at;
	int tries = 0;

	for (;;) {
		if (loop_await_lease(u->t->w) == LOOP_INTERRUPTED)
			return -1;
		failure_init(&u->t->failure);
		u->ring.out = out;
		u->t->puts++;
		writer_begin(&u->writer, number, offset, size, clock_ms());
		u->writer.sure = true;
		if (loop_wait(u->t->w, is_sent, u, 0) == LOOP_INTERRUPTED)
			return -1;
		if (!u->failed)
			return 0;
		writer_note_damage(&u->writer, &u->t->failure);
		writer_drop(&u->writer);
		tries += failure_counts(&u->t->failure);
		at = failure_retry_at(&u->t->failure, tries, clock_ms());
		if (at == 0 || u->ended || u->t->outcome.spoiled ||
		    loop_wait(u->t->w, loop_never, NULL, at) == LOOP_INTERRUPTED)
			return -1;
	}
}

static bool
is_at_end(const struct unsized *u, int64_t size)
{
	return u->reader.ended && (int64_t)ring_used(&u->ring) == size;
}

/* Sends the bytes that have come as a part. */
static int
move_part(struct unsized *u, int number, int64_t size)
{
	struct transfer *t = u->t;

	if (number > limits_parts_max(t->destination.store))
		return failure_set(&t->failure, CLASS_PERMANENT,
		    "the source does not say its length and has more than %d parts of %" PRId64
		    " bytes, which is what memory allows",
		    limits_parts_max(t->destination.store), t->part_size);
	t->nparts = number;
	t->size = transfer_part_offset(t, number) + size;
	if (send_part(u, number, transfer_part_offset(t, number), size) == -1)
		return -1;
	blame_served(t);
	parts_take(t, number, u->writer.crc64, u->writer.etag);
	if (u->writer.framed)
		parts_take_crc32c(t, number, u->writer.crc32c);
	checkpoint_part(t, number);
	return 0;
}

/* The source has ended, so its size is known. */
static int
end_source(struct transfer *t)
{
	if (plan_make(t, PLAN_ENDED) == -1)
		return -1;
	checkpoint_total(t);
	if (!t->task->has_expect_size || t->task->expect_size == t->size)
		return 0;
	return failure_set(&t->failure, CLASS_PERMANENT,
	    "the source has %" PRId64 " bytes, expect_size is %" PRId64, t->size,
	    t->task->expect_size);
}

/* The ring has the whole source, and the store knows no conditional PUT. */
static int
upload_whole(struct unsized *u, int64_t size)
{
	struct transfer *t = u->t;

	if (upload_begin(t) == -1)
		return -1;
	transfer_log_start(t);
	return move_part(u, 1, size) == -1 ? -1 : end_source(t);
}

/* The single PUT has failed; the ring still has its bytes, from out on. */
static int
end_put(struct unsized *u, uint64_t out, int64_t size)
{
	struct transfer *t = u->t;

	if (destination_is_taken(t, &t->failure))
		return destination_meet(t);
	if (!destination_lacks_condition(t, OP_PUT))
		return -1;
	u->ring.out = out;
	return plan_make(t, PLAN_UNSIZED) == -1 ? -1 : upload_whole(u, size);
}

/* The ring has the whole source: it goes in one PUT, as if its size had been known. */
static int
move_whole(struct unsized *u, int64_t size)
{
	struct transfer *t = u->t;
	uint64_t out = u->ring.out;

	t->size = size;
	t->nparts = 1;
	if (end_source(t) == -1 || upload_begin(t) == -1)
		return -1;
	transfer_log_start(t);
	if (send_part(u, 0, 0, size) == -1)
		return end_put(u, out, size);
	parts_take(t, 1, u->writer.crc64, u->writer.etag);
	if (u->writer.framed)
		parts_take_crc32c(t, 1, u->writer.crc32c);
	t->outcome.has_server_crc64 = u->writer.has_server_crc64;
	return 0;
}

static int
move(struct unsized *u)
{
	struct transfer *t = u->t;
	int64_t size = fill(u);
	int number = 1;

	if (size == -1)
		return -1;
	/* if nothing pins the source, only this answer's headers belong to these bytes */
	destination_describe(t);
	if (is_at_end(u, size))
		return destination_wants_upload(t) ? upload_whole(u, size) : move_whole(u, size);
	if (upload_begin(t) == -1)
		return -1;
	transfer_log_start(t);
	for (;;) {
		if (move_part(u, number++, size) == -1)
			return -1;
		if (is_at_end(u, 0))
			break;
		if ((size = fill(u)) == -1)
			return -1;
		/* the source has ended with the previous part */
		if (size == 0)
			break;
	}
	return end_source(t);
}

int
unsized_run(struct transfer *t)
{
	struct unsized *u;
	int rc;

	if (destination_admit(t) == -1 || plan_make(t, PLAN_UNSIZED) == -1 || upload_drop(t) == -1)
		return -1;
	u = memory_alloc(sizeof(*u));
	u->t = t;
	ring_init(&u->ring, (size_t)t->part_size + PLAN_SPARE);
	reader_init(&u->reader, t->w, &t->source, &u->ring, BUFFERS_NORMAL);
	writer_init(&u->writer, t, &u->ring, BUFFERS_NORMAL);
	reader_begin(&u->reader, 0, -1, clock_ms());
	rc = move(u);
	reader_drop(&u->reader);
	writer_release(&u->writer);
	ring_release(&u->ring);
	memory_free(u);
	if (rc == -1 || t->outcome.skipped)
		return rc;
	return finish(t);
}
