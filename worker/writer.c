/*
 * From the ring to the destination.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/clock.h"
#include "worker/crc64.h"
#include "worker/expect.h"
#include "worker/memory.h"
#include "worker/writer.h"

#define WRITER_GATE (16 << 10)	 /* bytes held back until the reader is sure */
#define WRITER_CHUNK (256 << 10) /* worth waking up for */
#define WRITER_PUSH (1 << 20)	 /* of a file, to the disk at once */
#define WRITER_SMALL_CHUNK (64 << 10)

/* The reader waits while the ring is half full at most; what is there by then must be enough for the writer to begin. */
_Static_assert(WORKER_RING_SIZE / 2 >= WRITER_CHUNK + WRITER_GATE, "reader and writer would wait for each other");

void
writer_init(struct writer *w, struct transfer *t, struct ring *ring, bool small)
{
	memset(w, 0, sizeof(*w));
	w->t = t;
	w->ring = ring;
	w->small = small;
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
	w->taken = w->moved = w->pushed = 0;
	w->moved_at = now;
	w->sure = w->done = w->has_server_crc64 = false;
	w->crc64 = 0;
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

static void
writer_count(struct writer *w, const char *buf, size_t len)
{
	w->crc64 = crc64_update(w->crc64, buf, len);
	if (w->md5 != NULL && EVP_DigestUpdate(w->md5, buf, len) != 1)
		memory_exhausted(1);
	w->taken += (int64_t)len;
}

/* An object in one PUT is there as soon as its last byte is: so what is expected is held against it before. */
static int
writer_check_expected(struct writer *w, struct failure *f)
{
	return w->number != 0 || w->taken < w->size ? 0 : expect_check(w->t, w->crc64, f);
}

static ssize_t
writer_on_read(struct http_request *put, char *buf, size_t max)
{
	struct writer *w = put->arg;
	size_t n = writer_available(w);

	if (w->taken == w->size)
		return 0;
	if (n == 0 || rate_wait(&put->store->rate, clock_ms()) != 0) {
		w->paused = true;
		return HTTP_READ_PAUSE;
	}
	n = rate_portion(&put->store->rate, n > max ? max : n);
	ring_read(w->ring, buf, n);
	writer_count(w, buf, n);
	rate_spend(&put->store->rate, (int64_t)n);
	if (writer_check_expected(w, &put->refused) == -1)
		return HTTP_READ_REFUSE;
	return (ssize_t)n;
}

static int
writer_start(struct writer *w, int64_t now, struct failure *f)
{
	const struct target *target = &w->t->target;
	struct http_request *put = &w->put;

	http_prepare(put, target->store, w->number == 0 ? OP_PUT : OP_UPLOAD_PART);
	put->role = HTTP_WRITER;
	put->small_buffers = w->small;
	put->on_read = writer_on_read;
	put->arg = w;
	put->call.bucket = target->bucket;
	put->call.key = target->key;
	put->call.content_length = w->size;
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
	if (http_start(w->t->w->http, put, f) == -1)
		return -1;
	w->sending = true;
	return 0;
}

/* A part can be sent again; an object in one PUT is there, and is not what it should be: see transfer.c. */
static void
writer_spoil(struct writer *w)
{
	if (w->number != 0)
		return;
	w->t->spoiled = true;
	strlcpy(w->t->etag, w->etag, sizeof(w->t->etag));
}

/* The MD5 that was computed on the way against the ETag, which is one as long as the server does not encrypt. */
static int
writer_check_md5(struct writer *w, struct failure *f)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	char hex[2 * EVP_MAX_MD_SIZE + 1];
	unsigned len, i;

	if (EVP_DigestFinal_ex(w->md5, digest, &len) != 1)
		memory_exhausted(1);
	for (i = 0; i < len; i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	if (strcasecmp(hex, w->etag) == 0)
		return 0;
	if (w->t->verify_auto && (strlen(w->etag) != 2 * len || strspn(w->etag, "0123456789abcdefABCDEF") != 2 * len)) {
		w->t->opaque_etags = true;
		return 0;
	}
	writer_spoil(w);
	return http_failure(&w->put, f, CLASS_TRANSIENT,
	    "destination differs: ETag %.64s, but what was sent has MD5 %s", w->etag, hex);
}

static int
writer_check(struct writer *w, struct failure *f)
{
	const struct object_info *info = &w->put.info;

	if (!text_is_plain(info->etag))
		return http_failure(&w->put, f, CLASS_TRANSIENT, "an ETag of unprintable characters");
	strlcpy(w->etag, info->etag, sizeof(w->etag));
	w->has_server_crc64 = info->has_crc64;
	w->server_crc64 = info->crc64;
	if (w->t->verify == VERIFY_CRC64 && info->has_crc64 && info->crc64 != w->crc64) {
		writer_spoil(w);
		return http_failure(&w->put, f, CLASS_TRANSIENT,
		    "destination differs: CRC64 %" PRIu64 ", but what was sent has %" PRIu64, info->crc64, w->crc64);
	}
	if (w->md5 != NULL)
		return writer_check_md5(w, f);
	return 0;
}

static int
writer_finish(struct writer *w, struct failure *f)
{
	/* asked while the handle is still ours */
	bool whole = w->taken == w->size && http_sent(&w->put) >= w->size;
	int rc = http_result(&w->put, f);

	if (rc == 0 && !whole)
		rc = http_failure(&w->put, f, CLASS_TRANSIENT, "answered before all bytes were sent");
	if (rc == 0)
		rc = writer_check(w, f);
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

static void
writer_watch(struct writer *w, int64_t now)
{
	int64_t sent = http_sent(&w->put);

	if (sent != w->moved) {
		w->moved = sent;
		w->moved_at = now;
	}
}

int
writer_run(struct writer *w, int64_t now, int64_t *wake, struct failure *f)
{
	size_t chunk = w->small ? WRITER_SMALL_CHUNK : WRITER_CHUNK;
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
