/*
 * From the ring to the destination.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "worker/crc32c.h"
#include "worker/crc64.h"
#include "worker/expect.h"
#include "worker/lease.h"
#include "worker/memory.h"
#include "worker/writer.h"

#define WRITER_GATE (16 << 10)	 /* bytes held back until the reader is sure */
#define WRITER_CHUNK (256 << 10) /* worth waking up for */
#define WRITER_LOOK_MS 1000
#define WRITER_DIRECT (256 << 10) /* bodies from so many bytes on go past libcurl */
#define WRITER_PUSH (1 << 20)	 /* of a file, to the disk at once */
#define WRITER_SMALL_CHUNK (64 << 10)
#define WRITER_AT_ONCE (32 << 10) /* libcurl sends what is smaller than 64 KiB in one piece with the head */

/* The reader waits while the ring is half full at most; what is there by then must be enough for the writer to begin. */
_Static_assert(WORKER_RING_SIZE / 2 >= WRITER_CHUNK + WRITER_GATE, "reader and writer would wait for each other");

void
writer_init(struct writer *w, struct transfer *t, struct ring *ring, enum http_buffers buffers)
{
	memset(w, 0, offsetof(struct writer, put));
	w->t = t;
	w->ring = ring;
	w->buffers = buffers;
	w->framed = t->verify == VERIFY_CRC32C;
	if (t->verify == VERIFY_MD5 && (w->md5 = EVP_MD_CTX_new()) == NULL)
		memory_exhausted(1);
	http_prepare(&w->put, t->target.store, OP_PUT);
}

void
writer_drop(struct writer *w)
{
	http_release(&w->put);
	w->sending = w->paused = false;
}

void
writer_release(struct writer *w)
{
	writer_drop(w);
	EVP_MD_CTX_free(w->md5);
	w->md5 = NULL;
}

void
writer_begin(struct writer *w, int number, int64_t offset, int64_t size, int64_t now)
{
	writer_drop(w);
	w->number = number;
	w->offset = offset;
	w->size = size;
	w->taken = w->counted = w->moved = w->arrived = w->pushed = 0;
	w->moved_at = now;
	w->sure = w->done = w->has_server_crc64 = false;
	w->crc64 = 0;
	w->crc32c = 0;
	if (w->framed)
		aws_chunked_begin(&w->frame, size);
	w->etag[0] = '\0';
	if (w->md5 != NULL && EVP_DigestInit_ex(w->md5, EVP_md5(), NULL) != 1)
		memory_exhausted(1);
}

/* How many bytes may leave the ring now. */
static size_t
writer_available(const struct writer *w)
{
	int64_t left = w->size - w->taken;
	int64_t used = (int64_t)ring_used(w->ring);

	if (!w->sure)
		left = left > WRITER_GATE ? left - WRITER_GATE : 0;
	return (size_t)(used < left ? used : left);
}

/* The same, of what fits into max bytes and into the chunk that is open. */
static size_t
writer_room(const struct writer *w, size_t max)
{
	size_t n = writer_available(w);

	if (w->framed && (int64_t)n > aws_chunked_room(&w->frame))
		n = (size_t)aws_chunked_room(&w->frame);
	return n > max ? max : n;
}

static void
writer_count(struct writer *w, const char *buf, size_t len)
{
	w->crc64 = crc64_update(w->crc64, buf, len);
	if (w->framed)
		w->crc32c = crc32c_update(w->crc32c, buf, len);
	if (w->md5 != NULL && EVP_DigestUpdate(w->md5, buf, len) != 1)
		memory_exhausted(1);
	w->counted += (int64_t)len;
	if (w->framed)
		aws_chunked_advance(&w->frame, (int64_t)len, w->crc32c);
}

/* An object in one PUT is there as soon as its last byte is: so what is expected is held against it before. */
static int
writer_check_expected(struct writer *w, struct failure *f)
{
	return w->number != 0 || w->counted < w->size ? 0 : expect_check(w->t, w->crc64, f);
}

static ssize_t
writer_on_read(struct http_request *put, char *buf, size_t max)
{
	struct writer *w = put->arg;
	size_t edge = w->framed ? aws_chunked_edge(&w->frame, buf, max) : 0;
	size_t n = writer_room(w, max - edge);

	if (w->taken == w->size || (n == 0 && edge > 0))
		return (ssize_t)edge;
	if (n == 0 || rate_wait(&put->store->rate, clock_ms()) != 0) {
		if (edge > 0)
			return (ssize_t)edge;
		w->paused = true;
		return HTTP_READ_PAUSE;
	}
	n = rate_portion(&put->store->rate, n);
	ring_read(w->ring, buf + edge, n);
	w->taken += (int64_t)n;
	writer_count(w, buf + edge, n);
	rate_spend(&put->store->rate, (int64_t)n);
	if (writer_check_expected(w, &put->refused) == -1)
		return HTTP_READ_REFUSE;
	n += edge;
	if (w->framed)
		n += aws_chunked_edge(&w->frame, buf + n, max - n);
	return (ssize_t)n;
}

/*
 * A small body that is all there goes out together with its head: one packet, and no buffer of libcurl's.  libcurl sends it again of
 * its own accord if a kept connection has ended meanwhile, so it must not matter if it arrives twice.
 */
static bool
writer_goes_at_once(const struct writer *w, int64_t now)
{
	size_t len = 0;

	if (!w->sure || w->framed || w->size == 0 || w->size > WRITER_AT_ONCE || w->put.call.if_none_match_any ||
	    rate_wait(&w->put.store->rate, now) != 0)
		return false;
	ring_peek(w->ring, &len);
	return (int64_t)len >= w->size;
}

/* The ring keeps the bytes: whoever fills it has nothing more to bring. */
static int
writer_take_whole(struct writer *w, struct failure *f)
{
	struct http_request *put = &w->put;
	size_t len;

	put->body = ring_peek(w->ring, &len);
	len = (size_t)w->size;
	writer_count(w, put->body, len);
	w->taken = w->size;
	ring_consume(w->ring, len);
	rate_spend(&put->store->rate, w->size);
	if (writer_check_expected(w, f) == -1)
		return http_failure(put, f, f->class, "%s", f->text);
	return 0;
}

static int
writer_start(struct writer *w, int64_t now, struct failure *f)
{
	const struct target *target = &w->t->target;
	struct http_request *put = &w->put;

	/* nobody will ask for a byte of an empty one */
	if (w->size == 0 && writer_check_expected(w, f) == -1)
		return -1;
	http_prepare(put, target->store, w->number == 0 ? OP_PUT : OP_UPLOAD_PART);
	put->role = HTTP_WRITER;
	put->buffers = w->buffers;
	put->on_read = writer_on_read;
	put->direct = w->size >= WRITER_DIRECT && !w->framed;
	put->arg = w;
	put->call.bucket = target->bucket;
	put->call.key = target->key;
	put->call.content_length = w->framed ? aws_chunked_length(w->size) : w->size;
	put->call.crc32c = w->framed;
	put->call.decoded_length = w->size;
	if (w->number == 0) {
		put->call.info = &target->info;
		put->call.storage_class = w->t->task->storage_class;
		put->call.if_none_match_any = w->t->task->if_exists != IF_EXISTS_OVERWRITE;
	} else {
		put->call.part_number = w->number;
		put->call.upload_id = w->t->upload_id;
	}
	w->paused = false;
	w->moved_at = now;
	if (writer_goes_at_once(w, now) && writer_take_whole(w, f) == -1)
		return -1;
	if (http_start(w->t->w->http, put, f) == -1)
		return -1;
	w->sending = true;
	return 0;
}

static int
writer_finish(struct writer *w, struct failure *f)
{
	/* asked while the handle is still ours */
	bool whole = w->taken == w->size && http_sent(&w->put) >= w->put.call.content_length;
	int rc = http_result(&w->put, f);

	if (rc == 0 && !whole)
		rc = http_failure(&w->put, f, CLASS_TRANSIENT, "answered before all bytes were sent");
	rc = rc == 0 ? writer_check(w, f) : writer_blame_frame(w, f);
	w->done = rc == 0;
	writer_drop(w);
	return rc;
}

/* A piece is sent on its way when the next is begun, and waited for when the one after that is. */
static void
writer_push(struct writer *w)
{
	const struct file *file = &w->t->target.file;

	while (w->taken - w->pushed >= WRITER_PUSH) {
		file_push(file, w->offset + w->pushed, WRITER_PUSH);
		if (w->pushed >= WRITER_PUSH)
			file_drop(file, w->offset + w->pushed - WRITER_PUSH, WRITER_PUSH);
		w->pushed += WRITER_PUSH;
	}
}

static int
writer_run_file(struct writer *w, int64_t now, int64_t *wake, struct failure *f)
{
	struct rate *rate = &w->t->target.store->rate;
	int64_t due;
	size_t len;
	char *at;

	if (!lease_holds(w->t->w)) {
		w->moved_at = now;
		return 0;
	}
	while (w->taken < w->size && writer_available(w) > 0) {
		if ((due = rate_wait(rate, now)) != 0) {
			w->moved_at = now;
			*wake = clock_earlier(*wake, due);
			break;
		}
		at = ring_peek(w->ring, &len);
		if (len > writer_available(w))
			len = writer_available(w);
		len = rate_portion(rate, len);
		if (file_write(&w->t->target.file, at, len, w->offset + w->taken, f) == -1)
			return -1;
		rate_spend(rate, (int64_t)len);
		writer_count(w, at, len);
		w->taken += (int64_t)len;
		ring_consume(w->ring, len);
		w->moved_at = now;
		*wake = now;
		writer_push(w);
	}
	w->done = w->taken == w->size && w->sure;
	if (w->done && w->pushed > 0)
		file_drop(&w->t->target.file, w->offset + w->pushed - WRITER_PUSH, w->size - w->pushed + WRITER_PUSH);
	return 0;
}

/* The next run of bytes in the ring that may leave it, no longer than rates allow at once; counted. */
static char *
writer_next(struct writer *w, size_t *len)
{
	size_t available = writer_available(w);
	char *at = ring_peek(w->ring, len);
	int64_t ahead;

	if (*len > available)
		*len = available;
	*len = rate_portion(&w->put.store->rate, *len);
	/* what the socket did not take last time is counted already */
	ahead = w->counted - w->taken;
	if (ahead < (int64_t)*len)
		writer_count(w, at + ahead, *len - (size_t)ahead);
	return at;
}

/* Straight from the ring into the socket. */
static int
writer_run_direct(struct writer *w, int64_t now, int64_t *wake, size_t chunk, struct failure *f)
{
	int64_t due;
	size_t len, sent;
	char *at;

	while (w->taken < w->size && http_is_direct(&w->put)) {
		if (writer_available(w) < chunk && !w->sure) {
			w->paused = true;
			return 0;
		}
		if (w->paused)
			w->moved_at = now;
		w->paused = false;
		if ((due = rate_wait(&w->put.store->rate, now)) != 0) {
			w->moved_at = now;
			*wake = clock_earlier(*wake, due);
			return 0;
		}
		at = writer_next(w, &len);
		if (writer_check_expected(w, f) == -1)
			return -1;
		if ((sent = http_send(&w->put, at, len)) == 0)
			return 0;
		ring_consume(w->ring, sent);
		w->taken += (int64_t)sent;
		rate_spend(&w->put.store->rate, (int64_t)sent);
		w->moved_at = now;
	}
	if (http_is_direct(&w->put)) {
		http_send_end(&w->put);
		w->moved_at = now;
	}
	return 0;
}

static void
writer_watch(struct writer *w, int64_t now)
{
	int64_t sent = http_sent(&w->put);

	if (sent != w->moved) {
		w->moved = sent;
		w->moved_at = now;
		return;
	}
	/* megabytes may wait in the kernel: on a slow line they take longer than a peer may be silent */
	if (now - w->moved_at < WRITER_LOOK_MS || (sent = http_arrived(&w->put)) == w->arrived)
		return;
	w->arrived = sent;
	w->moved_at = now;
}

int
writer_run(struct writer *w, int64_t now, int64_t *wake, struct failure *f)
{
	static const size_t chunks[] = {
		[BUFFERS_NORMAL] = WRITER_CHUNK,
		[BUFFERS_LARGE] = 2 * WRITER_CHUNK,
		[BUFFERS_SMALL] = WRITER_SMALL_CHUNK,
	};
	size_t chunk = chunks[w->buffers];
	size_t available = writer_available(w);
	int64_t at;

	if (w->done)
		return 0;
	if (w->t->target.is_file)
		return writer_run_file(w, now, wake, f);
	if (w->sending && w->put.done)
		return writer_finish(w, f);
	if (w->sending)
		writer_watch(w, now);
	if (w->sending && http_is_direct(&w->put))
		return writer_run_direct(w, now, wake, chunk, f);
	if (w->sending && !w->paused)
		return 0;
	if (available < chunk && !w->sure)
		return 0;
	if (!w->sending)
		return writer_start(w, now, f);
	if ((at = rate_wait(&w->put.store->rate, now)) != 0) {
		w->moved_at = now;
		*wake = clock_earlier(*wake, at);
		return 0;
	}
	w->paused = false;
	w->moved_at = now;
	http_unpause(&w->put);
	return 0;
}
