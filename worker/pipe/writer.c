#include "worker/pipe/writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "worker/base/crc32c.h"
#include "worker/base/crc64.h"
#include "worker/base/memory.h"
#include "worker/session/lease.h"
#include "worker/http/answer.h"
#include "worker/http/request.h"
#include "worker/http/send.h"
#include "worker/transfer/limits.h"
#include "worker/transfer/verify.h"
#include "worker/pipe/check.h"

/* Sizes in bytes. */
#define GATE (16 << 10) /* held back until the reader is sure */
#define CHUNK (256 << 10) /* fewer bytes are not worth a wake-up */
#define SMALL_CHUNK (64 << 10)
#define DIRECT (256 << 10) /* a body of this size and more goes past libcurl */
#define AT_ONCE (32 << 10) /* libcurl sends a body below 64 KiB in one piece with the head */
#define PUSH (1 << 20) /* of a file: the piece that is sent to the disk at once */

#define LOOK_MS 1000

/*
 * The reader may pause as soon as half of the ring is full.  These bytes must be enough for the
 * writer to begin.
 */
_Static_assert(WORKER_RING_SIZE / 2 >= CHUNK + GATE, "reader and writer would wait for each other");

void
writer_init(struct writer *w, struct transfer *t, struct ring *ring, enum http_buffers buffers)
{
	memset(w, 0, offsetof(struct writer, put));
	w->t = t;
	w->ring = ring;
	w->buffers = buffers;
	w->framed = t->destination.verify == VERIFY_CRC32C;
	if (t->destination.verify == VERIFY_MD5 && (w->md5 = EVP_MD_CTX_new()) == NULL)
		memory_exhausted(1);
	http_prepare(&w->put, t->destination.store, OP_PUT);
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
	w->sure = w->done = w->damaged = w->has_server_crc64 = false;
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
may_leave(const struct writer *w)
{
	int64_t left = w->size - w->taken;
	int64_t used = (int64_t)ring_used(w->ring);

	if (!w->sure)
		left = left > GATE ? left - GATE : 0;
	return (size_t)(used < left ? used : left);
}

/* Likewise, but no more than max, and no more than fits into the open chunk of a frame. */
static size_t
room(const struct writer *w, size_t max)
{
	size_t n = may_leave(w);

	if (w->framed && (int64_t)n > aws_chunked_room(&w->frame))
		n = (size_t)aws_chunked_room(&w->frame);
	return n > max ? max : n;
}

static void
count(struct writer *w, const char *buf, size_t len)
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

/*
 * A single PUT makes the object when its last byte arrives, so the checksums that row and source
 * expect are compared before.
 */
static int
check_expected(struct writer *w, struct failure *f)
{
	return w->number != 0 || w->counted < w->size ? 0 : verify_expected(w->t, w->crc64, f);
}

static ssize_t
on_read(struct http_request *put, char *buf, size_t max)
{
	struct writer *w = put->arg;
	size_t edge = w->framed ? aws_chunked_edge(&w->frame, buf, max) : 0;
	size_t n = room(w, max - edge);

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
	count(w, buf + edge, n);
	rate_spend(&put->store->rate, (int64_t)n);
	if (check_expected(w, &put->refused) == -1)
		return HTTP_READ_REFUSE;
	n += edge;
	if (w->framed)
		n += aws_chunked_edge(&w->frame, buf + n, max - n);
	return (ssize_t)n;
}

/*
 * True if the body is small, complete, and may be sent together with the head: one packet, and no
 * buffer of libcurl's.  If a kept connection has ended meanwhile, libcurl sends the request again
 * by itself, so the request must be one that may arrive twice.
 */
static bool
goes_at_once(const struct writer *w, int64_t now)
{
	size_t len = 0;

	if (!w->sure || w->framed || w->size == 0 || w->size > AT_ONCE ||
	    w->put.call.if_none_match_any || rate_wait(&w->put.store->rate, now) != 0)
		return false;
	ring_peek(w->ring, &len);
	return (int64_t)len >= w->size;
}

/* Sends straight from the ring: the reader is at its end, so nothing overwrites the bytes. */
static int
take_whole(struct writer *w, struct failure *f)
{
	struct http_request *put = &w->put;
	size_t len;

	put->body = ring_peek(w->ring, &len);
	len = (size_t)w->size;
	count(w, put->body, len);
	w->taken = w->size;
	ring_consume(w->ring, len);
	rate_spend(&put->store->rate, w->size);
	if (check_expected(w, f) == -1) {
		http_failure(put, f, f->class, "%s", f->text);
		return failure_blame(f, TROUBLE_OBJECT);
	}
	return 0;
}

static int
start(struct writer *w, int64_t now, struct failure *f)
{
	const struct destination *destination = &w->t->destination;
	struct http_request *put = &w->put;

	/* on_read is not called for an empty body */
	if (w->size == 0 && check_expected(w, f) == -1)
		return -1;
	http_prepare(put, destination->store, w->number == 0 ? OP_PUT : OP_UPLOAD_PART);
	put->role = HTTP_WRITER;
	put->buffers = w->buffers;
	put->on_read = on_read;
	put->direct = w->size >= DIRECT && !w->framed;
	put->arg = w;
	put->call.bucket = destination->bucket;
	put->call.key = destination->key;
	put->call.content_length = w->framed ? aws_chunked_length(w->size) : w->size;
	put->call.crc32c = w->framed;
	put->call.decoded_length = w->size;
	if (w->number == 0) {
		put->call.info = &destination->info;
		put->call.storage_class = w->t->task->storage_class;
		put->call.if_none_match_any = w->t->task->if_exists != IF_EXISTS_OVERWRITE;
	} else {
		put->call.part_number = w->number;
		put->call.upload_id = w->t->upload_id;
	}
	w->paused = false;
	w->moved_at = now;
	if (goes_at_once(w, now) && take_whole(w, f) == -1)
		return -1;
	if (http_start(w->t->w->http, put, f) == -1)
		return -1;
	w->sending = true;
	return 0;
}

static int
finish_put(struct writer *w, struct failure *f)
{
	/* http_result() gives the handle back, so ask before */
	bool whole = w->taken == w->size && http_sent(&w->put) >= w->put.call.content_length;
	int rc = http_result(&w->put, f);

	if (rc == 0 && !whole)
		rc = http_failure(
		    &w->put, f, CLASS_TRANSIENT, "answered before all bytes were sent");
	w->damaged = rc == -1 && strcmp(f->code, "BadDigest") == 0;
	rc = rc == 0 ? check_answer(w, f) : check_frame(w, f);
	w->done = rc == 0;
	if (w->done)
		limits_passed(w->put.store, w->put.call.content_length);
	writer_drop(w);
	return rc;
}

void
writer_note_damage(const struct writer *w, const struct failure *f)
{
	char part[32] = "the object";

	if (!w->damaged)
		return;
	w->t->damaged++;
	if (w->number != 0)
		snprintf(part, sizeof(part), "part %d", w->number);
	task_log(w->t->task, LOG_WARNING,
	    ": %s was damaged on its way to store %s and must be sent again (%s)", part,
	    w->t->destination.store->conf.name, f->text);
}

/* Starts writing a full piece to the disk, and waits for the piece before it. */
static void
push(struct writer *w)
{
	const struct file *file = &w->t->destination.file;

	while (w->taken - w->pushed >= PUSH) {
		file_push(file, w->offset + w->pushed, PUSH);
		if (w->pushed >= PUSH)
			file_drop(file, w->offset + w->pushed - PUSH, PUSH);
		w->pushed += PUSH;
	}
}

static int
run_file(struct writer *w, int64_t now, int64_t *wake, struct failure *f)
{
	struct rate *rate = &w->t->destination.store->rate;
	int64_t due;
	size_t len;
	char *at;

	if (!lease_holds(w->t->w)) {
		w->moved_at = now;
		return 0;
	}
	while (w->taken < w->size && may_leave(w) > 0) {
		if ((due = rate_wait(rate, now)) != 0) {
			w->moved_at = now;
			*wake = clock_earlier(*wake, due);
			break;
		}
		at = ring_peek(w->ring, &len);
		if (len > may_leave(w))
			len = may_leave(w);
		len = rate_portion(rate, len);
		if (file_write(&w->t->destination.file, at, len, w->offset + w->taken, f) == -1)
			return -1;
		rate_spend(rate, (int64_t)len);
		count(w, at, len);
		w->taken += (int64_t)len;
		ring_consume(w->ring, len);
		w->moved_at = now;
		*wake = now;
		push(w);
	}
	w->done = w->taken == w->size && w->sure;
	if (w->done && w->pushed > 0)
		file_drop(&w->t->destination.file, w->offset + w->pushed - PUSH,
		    w->size - w->pushed + PUSH);
	return 0;
}

/* The next bytes that may leave the ring, as many as the rate allows at once; they are counted. */
static char *
next_bytes(struct writer *w, size_t *len)
{
	size_t available = may_leave(w);
	char *at = ring_peek(w->ring, len);
	int64_t ahead;

	if (*len > available)
		*len = available;
	*len = rate_portion(&w->put.store->rate, *len);
	/* bytes that the socket did not take last time are counted already */
	ahead = w->counted - w->taken;
	if (ahead < (int64_t)*len)
		count(w, at + ahead, *len - (size_t)ahead);
	return at;
}

/* Sends straight from the ring into the socket. */
static int
run_direct(struct writer *w, int64_t now, int64_t *wake, size_t chunk, struct failure *f)
{
	int64_t due;
	size_t len, sent;
	char *at;

	while (w->taken < w->size && http_is_direct(&w->put)) {
		if (may_leave(w) < chunk && !w->sure) {
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
		at = next_bytes(w, &len);
		if (check_expected(w, f) == -1)
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
watch_sending(struct writer *w, int64_t now)
{
	int64_t sent = http_sent(&w->put);

	if (sent != w->moved) {
		w->moved = sent;
		w->moved_at = now;
		return;
	}
	/*
	 * the kernel may hold megabytes: on a slow line they take longer than the stall timeout, so
	 * look whether they arrive
	 */
	if (now - w->moved_at < LOOK_MS || (sent = http_arrived(&w->put)) == w->arrived)
		return;
	w->arrived = sent;
	w->moved_at = now;
}

int
writer_run(struct writer *w, int64_t now, int64_t *wake, struct failure *f)
{
	static const size_t chunks[] = {
		[BUFFERS_NORMAL] = CHUNK,
		[BUFFERS_LARGE] = 2 * CHUNK,
		[BUFFERS_SMALL] = SMALL_CHUNK,
	};
	size_t chunk = chunks[w->buffers];
	size_t available = may_leave(w);
	int64_t at;

	if (w->done)
		return 0;
	if (transfer_to_file(w->t))
		return run_file(w, now, wake, f);
	if (w->sending && http_is_done(&w->put))
		return finish_put(w, f);
	if (w->sending)
		watch_sending(w, now);
	if (w->sending && http_is_direct(&w->put))
		return run_direct(w, now, wake, chunk, f);
	if (w->sending && !w->paused)
		return 0;
	if (available < chunk && !w->sure)
		return 0;
	if (!w->sending)
		return start(w, now, f);
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
