/*
 * The story of a task: load checkpoint, pin source, look at destination, plan, begin upload, move parts, complete,
 * verify, settle.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/units.h"
#include "common/uri.h"
#include "worker/checkpoint.h"
#include "worker/copy.h"
#include "worker/finish.h"
#include "worker/memory.h"
#include "worker/opening.h"
#include "worker/parts.h"
#include "worker/spoiled.h"
#include "worker/stream.h"
#include "worker/target.h"
#include "worker/transfer.h"
#include "worker/upload.h"

#define TRANSFER_URI_SHOWN 1200
#define TRANSFER_ABORT_MS 10000

void
transfer_log_start(const struct transfer *t)
{
	char source[TRANSFER_URI_SHOWN], destination[TRANSFER_URI_SHOWN];
	struct log_line line;

	log_begin(&line, LOG_INFO, "task %" PRId64 " started", t->task->id);
	log_int(&line, "task", t->task->id);
	log_str(&line, "source", uri_redact(source, sizeof(source), t->task->source));
	log_str(&line, "destination", uri_redact(destination, sizeof(destination), t->task->destination));
	if (t->size >= 0)
		log_int(&line, "size", t->size);
	log_int(&line, "parts", t->nparts);
	if (t->resumed > 0)
		log_int(&line, "resumed", t->resumed);
	log_int(&line, "attempt", t->task->attempt + 1);
	log_end(&line);
}

static int
transfer_check_size(struct transfer *t)
{
	const struct task *task = t->task;

	t->size = t->source.size;
	if (!task->has_expect_size || t->size < 0 || t->size == task->expect_size)
		return 0;
	return failure_set(&t->failure, CLASS_PERMANENT, "the source has %" PRId64 " bytes, expect_size is %" PRId64,
	    t->size, task->expect_size);
}

/* A conditional PUT has met what was not there before. */
static int
transfer_move(struct transfer *t)
{
	if (parts_move(t) == 0)
		return 0;
	if (!t->multipart && target_is_taken(t, &t->failure))
		return target_meet(t);
	return -1;
}

static int
transfer_known(struct transfer *t)
{
	bool completed;
	int rc;

	if (copy_applies(t) && (rc = copy_run(t)) != 1)
		return rc;
	if (parts_plan(t) == -1 || upload_open(t, &completed) == -1)
		return -1;
	transfer_log_start(t);
	/* the end of one PUT says it soon enough */
	if (t->multipart || t->task->claim > 1)
		checkpoint_total(t);
	if (completed)
		return 0;
	if (transfer_move(t) == -1)
		return -1;
	return t->skipped ? 0 : finish(t);
}

static int
transfer_steps(struct transfer *t)
{
	struct failure *f = &t->failure;

	if (target_init(t) == -1 || source_init(t->w, &t->source, t->task->source, f) == -1)
		return -1;
	/* what has never been claimed before has no checkpoint */
	if (t->task->claim > 1 && (checkpoint_load(t) == -1 || spoiled_meet(t) == -1))
		return -1;
	if ((opening_is_wanted(t) ? opening_run(t) : source_open(t->w, &t->source, f)) == -1 || transfer_check_size(t) == -1)
		return -1;
	/* once Complete was about to be sent, what is there may be ours */
	if (target_look(t, t->checkpoint.found && t->checkpoint.completing) == -1)
		return -1;
	if (t->skipped)
		return 0;
	target_describe(t);
	return t->size >= 0 ? transfer_known(t) : stream_run(t);
}

static void
transfer_log_failed(const struct transfer *t, const char *next)
{
	struct log_line line;

	log_begin(&line, LOG_WARNING, "task %" PRId64 " failed: %s", t->task->id, t->failure.text);
	log_int(&line, "task", t->task->id);
	log_str(&line, "error_class", error_class_name(t->failure.class));
	log_int(&line, "attempt", t->task->attempt + 1);
	log_int(&line, "max_attempts", t->task->max_attempts);
	log_str(&line, "next", next);
	log_end(&line);
}

static enum task_result
transfer_settled(struct transfer *t, enum checkpoint_owner owner, enum task_result result)
{
	if (owner == OWNER_US)
		return result;
	if (owner == OWNER_UNKNOWN)
		t->w->unsettled = true;
	return TASK_STALE;
}

/* The row is cancelled and still carries our claim: nobody else will clean up. */
static enum task_result
transfer_cancelled(struct transfer *t)
{
	const struct checkpoint *c = &t->checkpoint;
	const char *id = t->upload_id[0] != '\0' ? t->upload_id :
	    c->found && c->initiated && c->same_destination && c->same_host ? c->upload_id : "";

	if (id[0] != '\0' && upload_abort_now(t, id, clock_ms() + TRANSFER_ABORT_MS) == 0)
		checkpoint_forget_cancelled(t, id);
	log_info("task %" PRId64 " cancelled", t->task->id);
	return TASK_CANCELLED;
}

static enum task_result
transfer_interrupted(struct transfer *t)
{
	struct worker *w = t->w;
	enum checkpoint_owner owner;

	/* a write may have met the cancelled row before the master's word of it came */
	if (w->stale || w->cancelled) {
		owner = checkpoint_ask(t);
		if (owner == OWNER_CANCELLED)
			return transfer_cancelled(t);
		w->stale = owner == OWNER_OTHER || (w->stale && owner == OWNER_UNKNOWN);
	}
	if (!w->stale) {
		owner = checkpoint_release(t);
		if (owner == OWNER_US)
			log_info("task %" PRId64 " handed back at %" PRId64 " of %" PRId64 " bytes", t->task->id, t->bytes_done,
			    t->size);
		if (owner != OWNER_OTHER)
			return transfer_settled(t, owner, TASK_RELEASED);
	}
	log_warn("task %" PRId64 ": somebody else has the claim; dropped", t->task->id);
	return TASK_STALE;
}

static enum task_result
transfer_failed(struct transfer *t, int64_t peak)
{
	bool retry = task_class_retries(t->failure.class) && t->task->attempt + 1 < t->task->max_attempts;
	struct failure told = t->failure;

	/* on a full disk the room that this one has taken may be what others need to come to their end */
	if (!retry || told.class == CLASS_SOURCE_CHANGED || t->rotten || (t->target.is_file && told.class == CLASS_THROTTLED)) {
		if (upload_drop(t) == -1 && worker_interrupted(t->w))
			return transfer_interrupted(t);
		t->failure = told;
	}
	transfer_log_failed(t, retry ? "queued again" : "none");
	if (retry)
		return transfer_settled(t, checkpoint_settle_retry(t, peak), TASK_RETRY);
	return transfer_settled(t, checkpoint_settle_failed(t, peak), TASK_FAILED);
}

/* What is done the master settles, many rows at once; if that is gone, nobody else would. */
static enum task_result
transfer_done(struct transfer *t, int64_t peak)
{
	enum task_result result = t->skipped ? TASK_SKIPPED : TASK_DONE;
	enum checkpoint_owner owner;

	if (!t->w->eof)
		return result;
	owner = checkpoint_settle_done(t, peak);
	if (owner == OWNER_US)
		log_info("task %" PRId64 " done, and settled without the master", t->task->id);
	return transfer_settled(t, owner, result);
}

static enum task_result
transfer_end(struct transfer *t, int rc, int64_t peak)
{
	if (rc == 0)
		return transfer_done(t, peak);
	if (t->spoiled)
		spoiled_leave(t);
	if (t->failure.class != CLASS_NONE && !worker_interrupted(t->w))
		return transfer_failed(t, peak);
	return transfer_interrupted(t);
}

static void
transfer_evidence(const struct transfer *t, struct msg_result *result)
{
	result->bytes = t->skipped ? 0 : t->size;
	result->bytes_total = t->size;
	result->has_crc64 = transfer_knows_crc64(t);
	result->crc64 = t->crc64;
	result->copied = t->copying;
	result->resumed = t->resumed;
	result->streams = t->streams_most;
	strlcpy(result->etag, t->etag, sizeof(result->etag));
	strlcpy(result->verified_by, t->verified_by != NULL ? t->verified_by : "none", sizeof(result->verified_by));
}

void
transfer_run(struct worker *w, struct msg_result *result)
{
	struct transfer *t = memory_alloc(sizeof(*t));
	int64_t peak;
	int rc;

	t->w = w;
	t->task = &w->task;
	t->size = t->source.size = -1;
	t->source.fd = -1;
	t->started_at = t->moved_at = clock_ms();
	failure_init(&t->failure);
	w->transfer = t;
	rc = transfer_steps(t);
	/* nothing has become of what this or an earlier attempt has begun */
	if (rc == 0 && t->skipped)
		rc = upload_drop(t);
	peak = memory_peak(w->setup->config.peak_file);

	memset(result, 0, sizeof(*result));
	result->task = t->task->id;
	result->claim = t->task->claim;
	result->result = (int)transfer_end(t, rc, peak);
	result->error_class = (int)t->failure.class;
	result->bytes = t->bytes_done;
	if (rc == 0)
		transfer_evidence(t, result);
	result->peak_memory = peak;
	result->elapsed_ms = clock_ms() - t->started_at;
	strlcpy(result->error, t->failure.text, sizeof(result->error));
	/* what is read does not fill a disk */
	if (t->failure.class == CLASS_THROTTLED)
		strlcpy(result->throttled_store, t->failure.store[0] != '\0' || t->target.store == NULL ? t->failure.store :
		    t->target.store->conf.name, sizeof(result->throttled_store));

	w->transfer = NULL;
	parts_release(t);
	opening_release(t);
	source_release(&t->source);
	file_release(&t->target.file);
	memory_free(t);
}

void
transfer_progress(struct transfer *t, int64_t now, struct msg_progress *progress)
{
	int64_t moved = t->bytes_done + parts_in_flight(t);
	char rate[32];

	opening_watch(t, now);
	if (now > t->moved_at) {
		t->rate = moved > t->moved_last ? (moved - t->moved_last) * 1000 / (now - t->moved_at) : 0;
		t->moved_last = moved;
		t->moved_at = now;
	}
	progress->task = t->task->id;
	progress->claim = t->task->claim;
	progress->bytes_done = moved;
	progress->bytes_total = t->streaming ? -1 : t->size;
	progress->rate = t->rate;
	units_format_size(rate, sizeof(rate), t->rate);
	t->w->titled = false;
	if (t->size > 0 && !t->streaming)
		setproctitle("-ferry-worker %d: task %" PRId64 " %d%% %s/s", t->w->slot, t->task->id, (int)(moved * 100.0 / (double)t->size),
		    rate);
	else
		setproctitle("-ferry-worker %d: task %" PRId64 " %s/s", t->w->slot, t->task->id, rate);
}
