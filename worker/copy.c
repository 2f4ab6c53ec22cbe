/*
 * Several requests at once that make the store copy.
 *
 * The source is pinned by a condition on each request.  Ceph 16 takes no notice of it, neither for objects nor for parts, so the
 * source is looked at once more when all is copied.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "worker/checkpoint.h"
#include "worker/copy.h"
#include "worker/expect.h"
#include "worker/finish.h"
#include "worker/lease.h"
#include "worker/loop.h"
#include "worker/memory.h"
#include "worker/parts.h"
#include "worker/target.h"
#include "worker/upload.h"

#define COPY_WHOLE_MAX (INT64_C(5) << 30) /* what one CopyObject may be */
#define COPY_STREAMS 8	  /* where no number is configured: the store has the work */
#define COPY_PART_TIMES 8 /* a copied part is so many times as large as a sent one: nothing of it is sent again */

/* One request on its way. */
struct copier {
	struct http_request r;
	bool busy;
	int number; /* of the part, 0: the whole object */
	int tries;
	int64_t retry_at; /* 0: none due */
};

struct copy {
	struct transfer *t;
	struct copier *copiers;
	int ncopiers;
	bool refused;
};

const char *
copy_pin(const struct transfer *t, char pin[COPY_PIN_SIZE])
{
	/* no ETag has a blank in it */
	snprintf(pin, COPY_PIN_SIZE, "%s%s", t->copying ? "copy of " : "", t->source.etag);
	return pin;
}

bool
copy_is_possible(const struct transfer *t)
{
	return t->source.store == t->target.store && !t->target.is_file && t->target.store->conf.copy != COPY_NEVER;
}

bool
copy_applies(const struct transfer *t)
{
	const struct source *source = &t->source;
	const struct checkpoint *c = &t->checkpoint;

	if (!copy_is_possible(t) || t->size <= 0 || source->etag[0] == '\0' || strncmp(source->etag, "W/", 2) == 0)
		return false;
	/* asked for by name: sums of bytes that were seen here, or that the store can state of both ends */
	if (!t->verify_auto && (t->verify == VERIFY_MD5 || t->verify == VERIFY_CRC32C ||
	    (t->verify == VERIFY_CRC64 && !source->info.has_crc64)))
		return false;
	/* Ceph decodes the source of a part twice: it takes another object for it, or dies of a name that comes out empty */
	if (t->target.store->conf.kind == STORE_S3 && strchr(source->key, '%') != NULL)
		return false;
	if (t->task->has_expect_crc64 && !source->info.has_crc64)
		return false;
	/* what was begun by sending ends so */
	return !(c->found && c->initiated && c->same_destination && source_is_same(source, c->source_size, c->source_etag));
}

static int
copy_plan(struct transfer *t)
{
	const struct store_limits *limits = store_limits(t->target.store->conf.kind);

	if (parts_plan(t) == -1)
		return -1;
	if (t->size <= COPY_WHOLE_MAX && t->task->if_exists == IF_EXISTS_OVERWRITE) {
		t->part_size = t->size;
		t->multipart = false;
	} else {
		t->part_size *= COPY_PART_TIMES;
		if (t->part_size > limits->part_max)
			t->part_size = limits->part_max;
		t->multipart = true;
	}
	parts_lay_out(t);
	return 0;
}

static bool
copy_is_onto_itself(const struct transfer *t)
{
	return strcmp(t->source.bucket, t->target.bucket) == 0 && strcmp(t->source.key, t->target.key) == 0;
}

static int
copy_start(struct copy *copy, struct copier *c)
{
	struct transfer *t = copy->t;
	const struct task *task = t->task;

	target_prepare(t, &c->r, c->number == 0 ? OP_COPY : OP_COPY_PART);
	c->r.call.copy_bucket = t->source.bucket;
	c->r.call.copy_key = t->source.key;
	c->r.call.if_match = t->source.etag;
	if (c->number == 0) {
		c->r.call.storage_class = task->storage_class;
		/* the store keeps all that it knows of the source; a copy onto itself it takes for a change of that */
		if (task->content_type[0] != '\0' || task->metadata[0] != '\0' || copy_is_onto_itself(t))
			c->r.call.info = &t->target.info;
	} else {
		c->r.call.upload_id = t->upload_id;
		c->r.call.part_number = c->number;
		c->r.call.range_first = transfer_part_offset(t, c->number);
		c->r.call.range_last = c->r.call.range_first + transfer_part_size(t, c->number) - 1;
	}
	c->retry_at = 0;
	c->busy = true;
	return http_start(t->w->http, &c->r, &t->failure);
}

/* What has come of a request: 0 with its ETag, or -1.  The status says less than the document. */
static int
copy_result(struct copier *c, struct failure *f)
{
	struct http_request *r = &c->r;
	int rc = http_result(r, f);

	if (rc == 0 && r->xml.root == S3XML_ERROR) {
		rc = http_failure(r, f, store_classify(r->status, r->xml.code, r->call.op), "HTTP %d, then %s%s%s", r->status,
		    r->xml.code, r->xml.message[0] != '\0' ? ": " : "", r->xml.message);
		strlcpy(f->code, r->xml.code, sizeof(f->code));
	} else if (rc == 0 && r->xml.root != (c->number == 0 ? S3XML_COPY_OBJECT : S3XML_COPY_PART)) {
		rc = http_failure(r, f, CLASS_TRANSIENT, "the answer is no result");
	} else if (rc == 0 && r->xml.etag[0] == '\0' && c->number != 0) {
		rc = http_failure(r, f, CLASS_TRANSIENT, "the answer has no ETag");
	}
	return rc;
}

/* Says no to copying, whatever it would say to sending: that is then found out. */
static bool
copy_is_refusal(const struct failure *f)
{
	return f->class == CLASS_PERMANENT || f->class == CLASS_CREDENTIALS;
}

/* A request is over.  Returns 0, also if it is to be tried again, or -1. */
static int
copy_take(struct copy *copy, struct copier *c, int64_t now)
{
	struct transfer *t = copy->t;
	struct failure f;
	int rc = copy_result(c, &f);
	int number = c->number == 0 ? 1 : c->number;

	c->busy = false;
	if (rc == 0) {
		parts_take(t, number, 0, c->r.xml.etag);
		if (t->multipart)
			checkpoint_part(t, number);
	}
	http_release(&c->r);
	if (rc == 0)
		return 0;
	if ((c->retry_at = failure_retry_at(&f, ++c->tries, now)) != 0)
		return 0;
	t->failure = f;
	copy->refused = copy_is_refusal(&f);
	return -1;
}

/* Gives an idle copier the next part that is left. */
static void
copy_feed(struct copy *copy, struct copier *c)
{
	struct transfer *t = copy->t;

	while (t->next_part <= t->nparts && t->parts[t->next_part - 1].state != PART_LEFT)
		t->next_part++;
	if (t->next_part > t->nparts)
		return;
	c->number = t->multipart ? t->next_part : 0;
	c->tries = 0;
	t->parts[t->next_part++ - 1].state = PART_BUSY;
	c->retry_at = 1; /* now */
}

static bool
copy_turn(void *arg, int64_t *wake)
{
	struct copy *copy = arg;
	struct copier *c;
	int64_t now = clock_ms();

	for (c = copy->copiers; c < copy->copiers + copy->ncopiers; c++) {
		if (c->busy && c->r.done && copy_take(copy, c, now) == -1)
			return true;
		if (!c->busy && c->retry_at == 0)
			copy_feed(copy, c);
		if (c->busy || c->retry_at == 0)
			continue;
		if (c->retry_at > now) {
			*wake = clock_earlier(*wake, c->retry_at);
			continue;
		}
		/* the master's word of it turns the loop */
		if (!lease_holds(copy->t->w))
			continue;
		if (copy_start(copy, c) == -1)
			return true;
		*wake = now;
	}
	return copy->t->parts_done == copy->t->nparts;
}

/* All parts, or the whole.  Returns 0, 1 if the store refuses, -1. */
static int
copy_move(struct transfer *t)
{
	int left = t->nparts - t->parts_done, streams = t->w->setup->config.worker.streams, i, rc;
	struct copy copy = { .t = t };

	if (streams == 0)
		streams = COPY_STREAMS;
	copy.ncopiers = streams < left ? streams : left;
	copy.copiers = memory_alloc((size_t)(copy.ncopiers + 1) * sizeof(*copy.copiers));
	rc = loop_wait(t->w, copy_turn, &copy, 0);
	for (i = 0; i < copy.ncopiers; i++)
		http_release(&copy.copiers[i].r);
	memory_free(copy.copiers);
	if (rc == -1)
		return -1;
	if (copy.refused)
		return 1;
	return t->failure.class == CLASS_NONE ? 0 : -1;
}

/* Is the source still what was copied? */
static int
copy_look_again(struct transfer *t)
{
	struct source *source = &t->source;
	struct http_request r;
	int rc;

	http_prepare(&r, source->store, OP_HEAD);
	r.call.bucket = source->bucket;
	r.call.key = source->key;
	r.call.if_match = source->etag;
	rc = http_call(t->w, &r, &t->failure);
	if (rc == 0 && (r.info.size != source->size || strcmp(r.info.etag, source->etag) != 0))
		rc = http_failure(&r, &t->failure, CLASS_SOURCE_CHANGED, "source changed while it was copied");
	http_release(&r);
	return rc;
}

/* The store was asked and will not.  Nothing is left of what was begun. */
static int
copy_fall_back(struct transfer *t)
{
	log_info("task %" PRId64 ": the store does not copy it (%s); sent through here", t->task->id, t->failure.text);
	failure_init(&t->failure);
	if (upload_drop(t) == -1)
		return -1;
	t->copying = false;
	t->resumed = 0;
	return 1;
}

int
copy_run(struct transfer *t)
{
	bool completed;
	int rc;

	t->copying = true;
	if (t->source.info.has_crc64 && expect_check(t, t->source.info.crc64, &t->failure) == -1)
		return -1;
	if (copy_plan(t) == -1)
		return -1;
	if (upload_open(t, &completed) == -1)
		return copy_is_refusal(&t->failure) && !worker_interrupted(t->w) ? copy_fall_back(t) : -1;
	transfer_log_start(t);
	checkpoint_total(t);
	if (completed)
		return 0;
	if ((rc = copy_move(t)) == 1)
		return copy_fall_back(t);
	if (rc == -1 || copy_look_again(t) == -1)
		return -1;
	return finish(t);
}
