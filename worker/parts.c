/*
 * Planning and moving parts.
 */
#include <inttypes.h>
#include <string.h>

#include "common/clock.h"
#include "worker/checkpoint.h"
#include "worker/crc32c.h"
#include "worker/crc64.h"
#include "worker/loop.h"
#include "worker/memory.h"
#include "worker/parts.h"
#include "worker/pipe.h"
#include "worker/store.h"

#define PARTS_ROUND (1 << 20)

int
parts_plan(struct transfer *t)
{
	const struct store_limits *limits = store_limits(t->target.store->conf.kind);
	int64_t size = t->w->setup->config.worker.part_size;
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
	t->part_size = size;
	/* a file needs no parts for its size, but they are its checkpoints; what is doubtful, only Complete settles */
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
		if (t->pipes[i].state == PIPE_BUSY)
			bytes += t->pipes[i].writer.taken;
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

static void
parts_feed(struct transfer *t, struct pipe *p, int64_t now)
{
	int number;

	while (t->next_part <= t->nparts && t->parts[t->next_part - 1].state != PART_LEFT)
		t->next_part++;
	if (t->next_part > t->nparts) {
		p->state = PIPE_IDLE;
		return;
	}
	number = t->next_part++;
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

/* One turn of all pipes.  True when nothing is left or one has failed. */
static bool
parts_turn(void *arg, int64_t *wake)
{
	struct transfer *t = arg;
	int64_t now = clock_ms();
	struct pipe *p;
	int i;

	for (i = 0; i < t->npipes; i++) {
		p = &t->pipes[i];
		if (p->state == PIPE_IDLE)
			parts_feed(t, p, now);
		pipe_run(p, now, wake);
		if (p->state == PIPE_DONE)
			parts_finish(t, p);
		if (p->state == PIPE_FAILED) {
			t->failure = p->failure;
			return true;
		}
		if (p->state == PIPE_IDLE) {
			parts_feed(t, p, now);
			if (p->state == PIPE_BUSY)
				*wake = now;
		}
	}
	return t->parts_done == t->nparts;
}

int
parts_move(struct transfer *t)
{
	int left = t->nparts - t->parts_done, i, rc;

	if (left == 0)
		return 0;
	t->npipes = t->streams < left ? t->streams : left;
	t->pipes = memory_alloc((size_t)t->npipes * sizeof(*t->pipes));
	for (i = 0; i < t->npipes; i++)
		pipe_init(&t->pipes[i], t);
	rc = loop_wait(t->w, parts_turn, t, 0);
	for (i = 0; i < t->npipes; i++)
		pipe_release(&t->pipes[i]);
	memory_free(t->pipes);
	t->pipes = NULL;
	t->npipes = 0;
	return rc == -1 || t->failure.class != CLASS_NONE ? -1 : 0;
}
