#include "worker/task/end.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/uri.h"
#include "worker/session/connection.h"
#include "worker/transfer/blame.h"
#include "worker/transfer/checkpoint.h"
#include "worker/transfer/claim.h"
#include "worker/transfer/parts.h"
#include "worker/transfer/settle.h"
#include "worker/transfer/spoiled.h"
#include "worker/transfer/transfer.h"
#include "worker/transfer/upload.h"

#define ABORT_MS 10000

static void
log_failed(const struct transfer *t, bool counts, const char *next)
{
	struct log_line line;

	if (counts)
		task_log_begin(&line, LOG_WARNING, t->task, " failed: %s; attempt %d of %d",
		    t->failure.text, t->task->attempt + 1, t->task->max_attempts);
	else
		task_log_begin(&line, LOG_WARNING, t->task,
		    " failed: %s; not counted, since parts were finished", t->failure.text);
	log_str(&line, "error_class", error_class_name(t->failure.class));
	log_int(&line, "attempt", t->task->attempt + 1);
	log_int(&line, "max_attempts", t->task->max_attempts);
	log_str(&line, "next", next);
	log_end(&line);
}

/* The id of the upload that this attempt began or resumed, or could resume here; else "". */
static const char *
own_upload(const struct transfer *t)
{
	const struct checkpoint *c = &t->checkpoint;

	if (t->upload_id[0] == '\0' && c->found && c->initiated && c->same_destination &&
	    c->same_host)
		return c->upload_id;
	return t->upload_id;
}

/*
 * A database that was restored, or has lost its last transactions, may not know our upload.  Then
 * no reaper finds the upload, and no other task can have it: it is ours to abort.
 */
static void
abort_unknown(struct transfer *t)
{
	const char *id = own_upload(t);

	if (id[0] != '\0' && claim_upload_is_unknown(t, id) &&
	    upload_abort_now(t, id, clock_ms() + ABORT_MS) == 0)
		task_log(t->task, LOG_INFO, ": the database does not know its upload: aborted");
}

static enum task_result
end_revoked(struct transfer *t)
{
	abort_unknown(t);
	task_log(t->task, LOG_WARNING, ": the claim was revoked; dropped");
	return TASK_STALE;
}

/* The result of a task whose row was to be written. */
static enum task_result
result_if_written(struct transfer *t, enum claim claim, enum task_result result)
{
	if (claim == CLAIM_OURS)
		return result;
	if (claim == CLAIM_REVOKED)
		return end_revoked(t);
	/* the master can tell the database */
	if (connection_is_denied(t->w) && !t->w->stop && !t->w->eof)
		return TASK_UNSETTLED;
	t->w->unsettled = true;
	return TASK_STALE;
}

/* The row is cancelled and still has our claim, so the upload is ours to abort. */
static enum task_result
end_cancelled(struct transfer *t)
{
	const char *id = own_upload(t);

	if (id[0] != '\0' && upload_abort_now(t, id, clock_ms() + ABORT_MS) == 0)
		checkpoint_forget_cancelled(t, id);
	task_log(t->task, LOG_INFO, " cancelled");
	return TASK_CANCELLED;
}

static enum task_result
end_interrupted(struct transfer *t)
{
	struct worker *w = t->w;
	enum claim claim;

	/* a write may meet the cancelled row before the master's CANCEL comes */
	if (w->revoked || w->cancelled) {
		claim = claim_ask(t);
		if (claim == CLAIM_CANCELLED)
			return end_cancelled(t);
		/* the row of the upload may be gone, and the claim be ours */
		if (claim == CLAIM_OURS)
			abort_unknown(t);
		w->revoked = claim == CLAIM_REVOKED || (w->revoked && claim == CLAIM_UNKNOWN);
	}
	if (w->revoked)
		return end_revoked(t);
	claim = settle_requeue(t);
	if (claim == CLAIM_OURS)
		task_log(t->task, LOG_INFO, " handed back at %" PRId64 " of %" PRId64 " bytes",
		    t->bytes_done, t->size);
	return result_if_written(t, claim, TASK_RELEASED);
}

/* True if the upload must be dropped after this failure, whatever becomes of the task. */
static bool
must_drop(const struct transfer *t)
{
	if (t->failure.class == CLASS_SOURCE_CHANGED || t->outcome.rotten)
		return true;
	/* the table took it for whole, and the store says that it is not */
	if (t->destination.unlisted &&
	    (t->failure.status == 404 || strcmp(t->failure.code, "NoSuchUpload") == 0 ||
		strcmp(t->failure.code, "InvalidPart") == 0))
		return true;
	/* other tasks may need the room that the temporary file takes */
	return transfer_to_file(t) && t->failure.class == CLASS_FULL;
}

/* Bytes in finished parts with which the next attempt goes on. */
static int64_t
kept(const struct transfer *t)
{
	const struct failure *f = &t->failure;
	bool vanished = f->status == 404 || strcmp(f->code, "NoSuchUpload") == 0;
	bool resumable = transfer_has_parts(t) && t->source.pin.size >= 0 &&
			 t->upload_id[0] != '\0' && pin_holds(&t->source.pin);

	return resumable && !vanished && !must_drop(t) ? t->bytes_done : 0;
}

/* An attempt that gained bytes does not count. */
static bool
counts(const struct transfer *t)
{
	return kept(t) <= t->checkpoint.gained;
}

static bool
is_followed(const struct transfer *t)
{
	return !blame_counts(t) ||
	       (task_class_retries(t->failure.class) &&
		   (!counts(t) || t->task->attempt + 1 < t->task->max_attempts));
}

static enum task_result
end_for_good(struct transfer *t, int64_t peak)
{
	struct failure refusal;
	enum claim claim = settle_failed(t, peak, &refusal);

	if (claim != CLAIM_REFUSED)
		return result_if_written(t, claim, TASK_FAILED);
	return result_if_written(t, settle_refused(t, peak, &refusal), TASK_RETRY);
}

static enum task_result
end_failed(struct transfer *t, int64_t peak)
{
	int64_t bytes = kept(t);
	bool passes = !blame_counts(t), retry = is_followed(t), counted = counts(t) || !retry;
	struct failure told = t->failure;

	if (!retry || must_drop(t)) {
		if (upload_drop(t) == -1 && worker_interrupted(t->w))
			return end_interrupted(t);
		t->failure = told;
	}
	if (passes) /* the master logs it */
		return result_if_written(t, settle_postponed(t, peak, bytes), TASK_POSTPONED);
	log_failed(t, counted, retry ? "queued again" : "none");
	if (retry)
		return result_if_written(t, settle_retry(t, peak, bytes), TASK_RETRY);
	return end_for_good(t, peak);
}

/* The master settles done tasks, many rows at once.  If the master is gone, we do. */
static enum task_result
end_done(struct transfer *t, int64_t peak)
{
	enum task_result result = t->outcome.skipped ? TASK_SKIPPED : TASK_DONE;
	enum claim claim;

	if (!t->w->eof)
		return result;
	claim = settle_done(t, peak);
	t->upload_id[0] = '\0'; /* completed */
	if (claim == CLAIM_OURS)
		task_log(t->task, LOG_INFO, " done, and settled without the master");
	return result_if_written(t, claim, result);
}

static void
end_spoiled(struct transfer *t)
{
	bool failed = t->failure.class != CLASS_NONE && !worker_interrupted(t->w);

	if (failed && t->destination.store->conf.keep_damaged && !is_followed(t))
		spoiled_keep(t);
	else
		spoiled_leave(t);
}

enum task_result
end_task(struct transfer *t, int rc, int64_t peak)
{
	if (rc == 0)
		return end_done(t, peak);
	if (t->outcome.spoiled)
		end_spoiled(t);
	if (t->failure.class != CLASS_NONE && !worker_interrupted(t->w))
		return end_failed(t, peak);
	return end_interrupted(t);
}
