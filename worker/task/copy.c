/*
 * Each request has the condition that the source is still the pinned one.  Ceph 16 ignores this
 * condition, for objects and for parts, so the source is looked at once more after the copy.
 */
#include "worker/task/copy.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "worker/base/memory.h"
#include "worker/store/classify.h"
#include "worker/session/lease.h"
#include "worker/http/answer.h"
#include "worker/http/request.h"
#include "worker/event/call.h"
#include "worker/event/loop.h"
#include "worker/transfer/blame.h"
#include "worker/transfer/checkpoint.h"
#include "worker/transfer/destination.h"
#include "worker/transfer/finish.h"
#include "worker/transfer/limits.h"
#include "worker/transfer/parts.h"
#include "worker/transfer/plan.h"
#include "worker/transfer/upload.h"
#include "worker/transfer/verify.h"
#include "worker/task/bounds.h"
#include "worker/task/resume.h"

#define STREAMS 8 /* if the configuration has no number: the store does the work */

/* Copies one part after the other. */
struct copier {
	struct http_request r;
	bool busy; /* r is under way */
	int number; /* of the part; 0: the whole object */
	int tries;
	int64_t retry_at; /* when to start r, on clock_ms(); 0: there is nothing to start */
};

struct copy {
	struct transfer *t;
	struct copier *copiers;
	int ncopiers;
	bool refused; /* t->failure says that the store does not copy */
	bool doubted; /* t->failure says that the source is another now */
};

bool
copy_is_possible(const struct transfer *t)
{
	return t->source.store == t->destination.store && !transfer_to_file(t) &&
	       t->destination.store->conf.copy != COPY_NEVER;
}

bool
copy_applies(const struct transfer *t)
{
	const struct source *source = &t->source;
	const struct checkpoint *c = &t->checkpoint;
	enum store_verify verify = t->destination.verify;

	if (!copy_is_possible(t) || t->size <= 0 || !pin_is_strong(&source->pin))
		return false;
	/*
	 * the configuration asks for a checksum by name: a copy has only the CRC64 that the store
	 * says of both ends
	 */
	if (!t->destination.verify_auto && (verify == VERIFY_MD5 || verify == VERIFY_CRC32C ||
					       (verify == VERIFY_CRC64 && !source->info.has_crc64)))
		return false;
	/*
	 * Ceph decodes the name of a part's source twice: it may copy another object, and it
	 * crashes if the name becomes empty
	 */
	if (t->destination.store->conf.kind == STORE_S3 && strchr(source->key, '%') != NULL)
		return false;
	if (t->task->has_expect_crc64 && !source->info.has_crc64)
		return false;
	/* an upload that was begun by sending is finished by sending */
	return !(c->found && c->initiated && c->same_destination &&
		 source_is_same(source, c->source_size, c->source_etag));
}

static bool
is_onto_itself(const struct transfer *t)
{
	return strcmp(t->source.bucket, t->destination.bucket) == 0 &&
	       strcmp(t->source.key, t->destination.key) == 0;
}

/*
 * True if the request states headers and metadata.  Without them CopyObject keeps those of the
 * source.  It refuses a copy of an object onto itself that changes nothing.
 */
static bool
describes(const struct transfer *t)
{
	return t->way == WAY_COPY_PARTS || t->task->content_type[0] != '\0' ||
	       t->task->metadata[0] != '\0' || is_onto_itself(t);
}

static int
start(struct copy *copy, struct copier *c)
{
	struct transfer *t = copy->t;
	const struct task *task = t->task;

	destination_prepare(t, &c->r, c->number == 0 ? OP_COPY : OP_COPY_PART);
	c->r.call.copy_bucket = t->source.bucket;
	c->r.call.copy_key = t->source.key;
	c->r.call.if_match = t->source.pin.etag;
	if (c->number == 0) {
		c->r.call.storage_class = task->storage_class;
		if (describes(t))
			c->r.call.info = &t->destination.info;
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

/*
 * Takes the result of a request that is done.  Returns 0, or -1 with a failure.  A store may answer
 * 200 and put the error into the document.
 */
static int
result(struct copier *c, struct failure *f)
{
	struct http_request *r = &c->r;
	int rc = http_result(r, f);

	if (rc == 0 && r->xml.root == S3XML_ERROR) {
		rc = http_failure(r, f, store_classify(r->status, r->xml.code, r->call.op),
		    "HTTP %d, then %s%s%s", r->status, r->xml.code,
		    r->xml.message[0] != '\0' ? ": " : "", r->xml.message);
		strlcpy(f->code, r->xml.code, sizeof(f->code));
		store_blame(f, r->store->conf.kind);
	}
	return rc;
}

/* True if the store does not copy.  Whether it takes what is sent is found out by sending. */
static bool
is_refusal(const struct failure *f)
{
	return f->class == CLASS_PERMANENT || f->class == CLASS_CREDENTIALS;
}

/* A request is done.  Returns 0, also if it will be tried again, or -1 with t->failure. */
static int
take(struct copy *copy, struct copier *c, int64_t now)
{
	struct transfer *t = copy->t;
	struct failure f;
	int rc = result(c, &f);
	int number = c->number == 0 ? 1 : c->number;

	c->busy = false;
	if (rc == 0 && c->number == 0)
		rc = destination_check_encrypted(t, &c->r, &f);
	if (rc == 0) {
		parts_take(t, number, 0, c->r.xml.etag);
		blame_served(t);
		if (transfer_has_parts(t))
			checkpoint_part(t, number);
	}
	http_release(&c->r);
	if (rc == 0)
		return 0;
	c->tries += failure_counts(&f);
	if ((c->retry_at = failure_retry_at(&f, c->tries, now)) != 0)
		return 0;
	t->failure = f;
	copy->refused = is_refusal(&f);
	copy->doubted = f.class == CLASS_SOURCE_CHANGED;
	return -1;
}

/* Gives an idle copier the next part that is left. */
static void
feed(struct copy *copy, struct copier *c)
{
	struct transfer *t = copy->t;

	while (t->next_part <= t->nparts && t->parts[t->next_part - 1].state != PART_LEFT)
		t->next_part++;
	if (t->next_part > t->nparts)
		return;
	c->number = transfer_has_parts(t) ? t->next_part : 0;
	c->tries = 0;
	t->parts[t->next_part++ - 1].state = PART_BUSY;
	c->retry_at = 1; /* now */
}

static bool
turn(void *arg, int64_t *wake)
{
	struct copy *copy = arg;
	struct copier *c;
	int64_t now = clock_ms();

	for (c = copy->copiers; c < copy->copiers + copy->ncopiers; c++) {
		if (c->busy && http_is_done(&c->r) && take(copy, c, now) == -1)
			return true;
		if (!c->busy && c->retry_at == 0)
			feed(copy, c);
		if (c->busy || c->retry_at == 0)
			continue;
		if (c->retry_at > now) {
			*wake = clock_earlier(*wake, c->retry_at);
			continue;
		}
		/* the message that renews the lease turns the loop */
		if (!lease_holds(copy->t->w))
			continue;
		if (start(copy, c) == -1)
			return true;
		*wake = now;
	}
	return bounds_check_pace(copy->t, copy->t->bytes_done, now, wake) == -1 ||
	       copy->t->parts_done == copy->t->nparts;
}

/* Looks whether the source is still the one that was pinned. */
static int
look_again(struct transfer *t)
{
	struct source *source = &t->source;
	struct object_name name = source_name(source);
	struct http_request r;
	int rc;

	object_prepare(&name, &r, OP_HEAD);
	pin_demand(&source->pin, &r.call);
	rc = call_repeat(t->w, &r, &t->failure);
	if (rc == 0)
		rc = pin_check(&source->pin, &r, &t->failure);
	http_release(&r);
	return rc;
}

/*
 * The store says that the source's ETag is another now.  Swift says so of each object of parts,
 * with the very ETag that its HEAD states: then it is no change, but a refusal.
 */
static enum copy_end
resolve_doubt(struct transfer *t)
{
	failure_init(&t->failure);
	if (look_again(t) == -1)
		return COPY_FAILED;
	failure_set(&t->failure, CLASS_PERMANENT,
	    "%s: it compares the source with another ETag than the one that its HEAD states",
	    t->source.store->conf.name);
	return COPY_REFUSED;
}

/* Copies all parts, or the whole object. */
static enum copy_end
move(struct transfer *t)
{
	int left = t->nparts - t->parts_done, streams = t->w->setup->config.worker.streams, i;
	struct copy copy = { .t = t };
	enum loop_end end;

	if (streams == 0)
		streams = STREAMS;
	copy.ncopiers = streams < left ? streams : left;
	copy.copiers = memory_alloc((size_t)(copy.ncopiers + 1) * sizeof(*copy.copiers));
	end = loop_wait(t->w, turn, &copy, 0);
	for (i = 0; i < copy.ncopiers; i++)
		http_release(&copy.copiers[i].r);
	memory_free(copy.copiers);
	if (end == LOOP_INTERRUPTED)
		return COPY_FAILED;
	if (copy.refused)
		return COPY_REFUSED;
	if (copy.doubted)
		return resolve_doubt(t);
	return t->failure.class == CLASS_NONE ? COPY_DONE : COPY_FAILED;
}

/* The store refuses to copy: drops what was begun, so that the bytes can be sent. */
static enum copy_end
fall_back(struct transfer *t)
{
	task_log(t->task, LOG_INFO, ": the store does not copy it (%s); sent through here",
	    t->failure.text);
	/* what is sent has fewer parts, too */
	limits_learn(t);
	failure_init(&t->failure);
	if (upload_drop(t) == -1)
		return COPY_FAILED;
	t->resumed = 0;
	return COPY_REFUSED;
}

enum copy_end
copy_run(struct transfer *t)
{
	enum copy_end end;
	bool completed;

	if (t->source.info.has_crc64 && verify_expected(t, t->source.info.crc64, &t->failure) == -1)
		return COPY_FAILED;
	if (plan_make(t, PLAN_COPY) == -1 || (describes(t) && destination_admit(t) == -1))
		return COPY_FAILED;
	if (resume_or_begin(t, PLAN_COPY, &completed) == -1) {
		if (is_refusal(&t->failure) && !worker_interrupted(t->w))
			return fall_back(t);
		return COPY_FAILED;
	}
	transfer_log_start(t);
	checkpoint_total(t);
	if (completed)
		return COPY_DONE;
	if ((end = move(t)) != COPY_DONE)
		return end == COPY_REFUSED ? fall_back(t) : end;
	if (look_again(t) == -1 || finish(t) == -1)
		return COPY_FAILED;
	return COPY_DONE;
}
