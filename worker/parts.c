/*
 * Planning and moving parts.
 */
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "worker/checkpoint.h"
#include "worker/crc32c.h"
#include "worker/crc64.h"
#include "worker/loop.h"
#include "worker/memory.h"
#include "worker/parts.h"
#include "worker/pipe.h"
#include "worker/store.h"

#define PARTS_ROUND (1 << 20)
#define PARTS_WHOLE_MAX (16 << 20) /* in one PUT, which saves the requests that begin and complete an upload */
#define PARTS_SIZE_MIN (5 << 20)
#define PARTS_SIZE_MAX (80 << 20) /* what a crash costs, for each stream */
#define PARTS_WANTED 64		  /* for streams to share, so that they end at about the same time */

/*
 * Without a size in the configuration: enough parts for many streams, each large enough that its round trips and its row do not
 * matter.  The same for the same size always: the next attempt must decide alike.
 */
int64_t
parts_size_wanted(const struct config_worker *conf, int64_t size)
{
	int64_t wanted = PARTS_SIZE_MIN;

	if (conf->part_size > 0)
		return conf->part_size;
	if (size <= PARTS_WHOLE_MAX)
		return PARTS_WHOLE_MAX;
	while (wanted < PARTS_SIZE_MAX && size / wanted > PARTS_WANTED)
		wanted *= 2;
	return wanted;
}

int64_t
parts_size_least(const struct config_worker *conf)
{
	return conf->part_size > 0 ? conf->part_size : PARTS_SIZE_MIN;
}

int
parts_plan(struct transfer *t)
{
	const struct store_limits *limits = store_limits(t->target.store->conf.kind);
	int64_t size = parts_size_wanted(&t->w->setup->config.worker, t->size);
	int64_t least = (t->size + limits->parts_max - 1) / limits->parts_max;

	if (t->size > limits->object_max)
		return failure_set(&t->failure, CLASS_PERMANENT, "%" PRId64 " bytes are more than store %s takes (%" PRId64
		    ")", t->size, t->target.store->conf.name, limits->object_max);
	least = (least + PARTS_ROUND - 1) / PARTS_ROUND * PARTS_ROUND;
	if (size < limits->part_min)
		size = limits->part_min;
	if (size < least)
		size = least;
	if (size > limits->part_max)
		return failure_set(&t->failure, CLASS_PERMANENT, "parts of %" PRId64 " bytes are more than store %s takes (%"
		    PRId64 ")", size, t->target.store->conf.name, limits->part_max);
	/* what is doubtful, only the sum of the whole settles */
	if (t->doubtful && t->size > size)
		size = t->size;
	t->part_size = size;
	/* a file needs no parts for its size, but they are its checkpoints; what is doubtful must not be put in its own place */
	t->multipart = t->size > size || t->target.is_file || t->doubtful;
	parts_lay_out(t);
	return 0;
}

void
parts_lay_out(struct transfer *t)
{
	parts_release(t);
	t->nparts = t->size > t->part_size ? (int)((t->size + t->part_size - 1) / t->part_size) : 1;
	t->parts = memory_alloc((size_t)t->nparts * sizeof(*t->parts));
	t->parts_done = 0;
	t->next_part = 1;
	t->bytes_done = 0;
}

int64_t
transfer_part_offset(const struct transfer *t, int number)
{
	return (int64_t)(number - 1) * t->part_size;
}

int64_t
transfer_part_size(const struct transfer *t, int number)
{
	int64_t left = t->size - transfer_part_offset(t, number);

	return left < t->part_size ? left : t->part_size;
}

const char *
parts_etag(const struct part *part)
{
	return part->long_etag != NULL ? part->long_etag : part->etag;
}

void
parts_take(struct transfer *t, int number, uint64_t crc64, const char *etag)
{
	struct part *part = &t->parts[number - 1];

	part->crc64 = crc64;
	part->state = PART_DONE;
	if (strlcpy(part->etag, etag, sizeof(part->etag)) >= sizeof(part->etag)) {
		memory_free(part->long_etag);
		part->long_etag = memory_strdup(etag);
	}
	t->parts_done++;
	t->bytes_done += transfer_part_size(t, number);
}

void
parts_take_crc32c(struct transfer *t, int number, uint32_t crc32c)
{
	t->parts[number - 1].crc32c = crc32c;
	t->parts[number - 1].has_crc32c = true;
}

uint64_t
parts_crc64(const struct transfer *t)
{
	uint64_t crc = 0;
	int i;

	for (i = 1; i <= t->nparts; i++)
		crc = crc64_combine(crc, t->parts[i - 1].crc64, (uint64_t)transfer_part_size(t, i));
	return crc;
}

bool
parts_crc32c(const struct transfer *t, uint32_t *crc32c)
{
	int i;

	*crc32c = 0;
	for (i = 1; i <= t->nparts; i++) {
		if (!t->parts[i - 1].has_crc32c)
			return false;
		*crc32c = crc32c_combine(*crc32c, t->parts[i - 1].crc32c, (uint64_t)transfer_part_size(t, i));
	}
	return true;
}

int64_t
parts_in_flight(const struct transfer *t)
{
	int64_t bytes = 0;
	int i;

	for (i = 0; i < t->npipes; i++) {
		if (t->pipes[i]->state == PIPE_BUSY)
			bytes += t->pipes[i]->writer.taken;
	}
	return bytes;
}

void
parts_release(struct transfer *t)
{
	int i;

	for (i = 0; i < t->nparts && t->parts != NULL; i++)
		memory_free(t->parts[i].long_etag);
	memory_free(t->parts);
	t->parts = NULL;
	t->nparts = 0;
}

/* The number of the next part that is left, 0 if there is none. */
static int
parts_next(struct transfer *t)
{
	while (t->next_part <= t->nparts && t->parts[t->next_part - 1].state != PART_LEFT)
		t->next_part++;
	return t->next_part <= t->nparts ? t->next_part : 0;
}

static int
parts_busy(const struct transfer *t)
{
	int i, busy = 0;

	for (i = 0; i < t->npipes; i++)
		busy += t->pipes[i]->state == PIPE_BUSY;
	return busy;
}

static void
parts_feed(struct transfer *t, struct pipe *p, int number, int64_t now)
{
	t->parts[number - 1].state = PART_BUSY;
	pipe_begin(p, t->multipart ? number : 0, transfer_part_offset(t, number), transfer_part_size(t, number), now);
}

static void
parts_finish(struct transfer *t, struct pipe *p)
{
	int number = t->multipart ? p->number : 1;

	p->state = PIPE_IDLE;
	parts_take(t, number, p->writer.crc64, p->writer.etag);
	if (p->writer.framed)
		parts_take_crc32c(t, number, p->writer.crc32c);
	if (t->multipart)
		checkpoint_part(t, number);
	else if (p->writer.has_server_crc64)
		t->has_server_crc64 = true;
}

/* A store has said "slow down" to this one: fewer are in flight from now on, and one too many leaves its part for later. */
static void
parts_slow_down(struct transfer *t, struct pipe *p, int64_t now)
{
	int busy = parts_busy(t) + (p->state == PIPE_FAILED), limit = t->streams.limit;

	p->throttled = 0;
	streams_throttled(&t->streams, busy, p->begun_at, now);
	if (t->streams.limit < limit)
		log_info("task %" PRId64 ": throttled with %d parts in flight, now %d at most", t->task->id, busy,
		    t->streams.limit);
	/* what has come of it so far is worth keeping if only its source's side has to wait */
	if (busy <= t->streams.limit || !t->multipart || (p->state == PIPE_BUSY && p->retry_at == 0 && p->writer.taken > 0))
		return;
	pipe_return(p);
	t->parts[p->number - 1].state = PART_LEFT;
	if (p->number < t->next_part)
		t->next_part = p->number;
	p->state = PIPE_IDLE;
}

/* Pipes are made when there is a part for them, and their buffers given back when they are too many. */
static void
parts_fill(struct transfer *t, int64_t now)
{
	int busy = parts_busy(t), number, i;

	for (i = 0; i < t->npipes; i++) {
		if (t->pipes[i]->state != PIPE_IDLE)
			continue;
		if (busy < t->streams.limit && (number = parts_next(t)) != 0) {
			parts_feed(t, t->pipes[i], number, now);
			busy++;
		} else if (t->npipes > t->streams.limit) {
			pipe_release(t->pipes[i]);
			memory_free(t->pipes[i]);
			t->pipes[i--] = t->pipes[--t->npipes];
		}
	}
	while (busy < t->streams.limit && t->npipes < t->streams.max && (number = parts_next(t)) != 0) {
		t->pipes[t->npipes] = memory_buffer(sizeof(*t->pipes[0]));
		pipe_init(t->pipes[t->npipes], t);
		parts_feed(t, t->pipes[t->npipes++], number, now);
		busy++;
	}
	if (busy > t->streams_most)
		t->streams_most = busy;
}

static int64_t
parts_latency(const struct transfer *t)
{
	return (t->source.store->answer_us + t->target.store->answer_us) / 1000;
}

/* What the destination has: each connection more has a buffer more, and what that swallows is no throughput. */
static int64_t
parts_arrived(const struct transfer *t)
{
	int64_t bytes = t->bytes_done;
	int i;

	for (i = 0; i < t->npipes; i++) {
		if (t->pipes[i]->state == PIPE_BUSY)
			bytes += t->target.is_file ? t->pipes[i]->writer.taken : http_arrived(&t->pipes[i]->writer.put);
	}
	return bytes;
}

static void
parts_adapt(struct transfer *t, int64_t now, int64_t *wake)
{
	struct streams_sample sample = { .now = now, .idle_us = t->w->idle_us, .latency = parts_latency(t), .busy = parts_busy(t) };

	if (t->streams.phase == STREAMS_FIXED)
		return;
	/* asking the kernel is not for every turn; that the number is not what it should be counts at once */
	if (now >= t->sample_at || sample.busy != t->streams.limit) {
		sample.bytes = parts_arrived(t);
		if (streams_take(&t->streams, &sample))
			log_debug("task %" PRId64 ": %d parts in flight at most; %" PRId64 " KiB/s with %d", t->task->id,
			    t->streams.limit, (int64_t)(t->streams.good_rate * 1000 / 1024), t->streams.good);
		t->sample_at = streams_due(&t->streams, now);
	}
	*wake = clock_earlier(*wake, t->sample_at);
}

/* One turn of all pipes.  True when nothing is left or one has failed. */
static bool
parts_turn(void *arg, int64_t *wake)
{
	struct transfer *t = arg;
	int64_t now = clock_ms();
	struct pipe *p;
	int i;

	parts_fill(t, now);
	for (i = 0; i < t->npipes; i++) {
		p = t->pipes[i];
		pipe_run(p, now, wake);
		if (p->throttled > 0)
			parts_slow_down(t, p, now);
		if (p->state == PIPE_DONE)
			parts_finish(t, p);
		if (p->state == PIPE_FAILED) {
			t->failure = p->failure;
			return true;
		}
	}
	parts_adapt(t, now, wake);
	if (parts_busy(t) < t->streams.limit && parts_next(t) != 0)
		*wake = now;
	return t->parts_done == t->nparts;
}

/* After a death for want of memory there is one stream; a source without ranges can be read by one only. */
static void
parts_begin(struct transfer *t, const char *source, const char *destination, int64_t now)
{
	const struct config_worker *conf = &t->w->setup->config.worker;
	bool one = t->task->frugal || !t->source.ranges;

	if (one || conf->streams > 0)
		streams_init_fixed(&t->streams, one ? 1 : conf->streams);
	else
		streams_init(&t->streams, config_streams_most(conf), parts_latency(t), &t->w->streams, source, destination, now);
	t->pipes = memory_alloc((size_t)t->streams.max * sizeof(struct pipe *));
}

int
parts_move(struct transfer *t)
{
	const char *source = t->source.store->conf.name, *destination = t->target.store->conf.name;
	int rc;

	if (t->parts_done == t->nparts)
		return 0;
	parts_begin(t, source, destination, clock_ms());
	rc = loop_wait(t->w, parts_turn, t, 0);
	streams_remember(&t->streams, &t->w->streams, source, destination, clock_ms());
	while (t->npipes > 0) {
		pipe_release(t->pipes[--t->npipes]);
		memory_free(t->pipes[t->npipes]);
	}
	memory_free(t->pipes);
	t->pipes = NULL;
	return rc == -1 || t->failure.class != CLASS_NONE ? -1 : 0;
}

static bool
parts_hex_md5(const char *etag, unsigned char digest[16])
{
	char byte[3] = "";
	int i;

	if (strlen(etag) != 32 || strspn(etag, "0123456789abcdefABCDEF") != 32)
		return false;
	for (i = 0; i < 16; i++) {
		memcpy(byte, etag + 2 * i, 2);
		digest[i] = (unsigned char)strtoul(byte, NULL, 16);
	}
	return true;
}

bool
parts_object_etag(const struct transfer *t, char *out, size_t size)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *md5;
	bool known = true;
	unsigned len;
	int i, n = 0;

	if (t->opaque_etags || t->target.store->conf.kind != STORE_S3)
		return false;
	if (!t->multipart) {
		strlcpy(out, parts_etag(&t->parts[0]), size);
		return parts_hex_md5(out, digest);
	}
	if ((md5 = EVP_MD_CTX_new()) == NULL || EVP_DigestInit_ex(md5, EVP_md5(), NULL) != 1)
		memory_exhausted(1);
	for (i = 0; i < t->nparts && known; i++) {
		known = parts_hex_md5(parts_etag(&t->parts[i]), digest);
		if (known)
			EVP_DigestUpdate(md5, digest, 16);
	}
	EVP_DigestFinal_ex(md5, digest, &len);
	EVP_MD_CTX_free(md5);
	for (i = 0; i < 16; i++)
		n += snprintf(out + n, size - (size_t)n, "%02x", digest[i]);
	snprintf(out + n, size - (size_t)n, "-%d", t->nparts);
	return known;
}
