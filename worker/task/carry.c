#include "worker/task/carry.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/base/units.h"
#include "worker/base/memory.h"
#include "worker/transfer/blame.h"
#include "worker/transfer/checkpoint.h"
#include "worker/transfer/claim.h"
#include "worker/transfer/destination.h"
#include "worker/transfer/finish.h"
#include "worker/transfer/limits.h"
#include "worker/transfer/parts.h"
#include "worker/transfer/plan.h"
#include "worker/transfer/settle.h"
#include "worker/transfer/spoiled.h"
#include "worker/transfer/transfer.h"
#include "worker/transfer/upload.h"
#include "worker/task/bounds.h"
#include "worker/task/copy.h"
#include "worker/task/end.h"
#include "worker/task/move.h"
#include "worker/task/opening.h"
#include "worker/task/resume.h"
#include "worker/task/unsized.h"

static int
check_size(struct transfer *t)
{
	const struct task *task = t->task;

	t->size = t->source.pin.size;
	if (bounds_check_size(t, t->size) == -1)
		return -1;
	if (!task->has_expect_size || t->size < 0 || t->size == task->expect_size)
		return 0;
	return failure_set(&t->failure, CLASS_PERMANENT,
	    "the source has %" PRId64 " bytes, expect_size is %" PRId64, t->size,
	    task->expect_size);
}

/* A conditional PUT may fail because of an object that was not there when the task looked. */
static int
move(struct transfer *t)
{
	if (move_parts(t) == 0)
		return 0;
	if (t->way == WAY_PUT && destination_is_taken(t, &t->failure))
		return destination_meet(t);
	return -1;
}

/* If nothing pins the source, its headers and its bytes must come from one answer. */
static int
open_unpinned(struct transfer *t)
{
	if (pin_holds(&t->source.pin) || t->opening.reader != NULL || t->size <= 0)
		return 0;
	return opening_run(t) == -1 ? -1 : check_size(t);
}

/* The store has refused the single PUT for its condition: the bytes are sent again, as a part. */
static int
carry_as_upload(struct transfer *t)
{
	if (open_unpinned(t) == -1)
		return -1;
	destination_describe(t);
	if (t->size < 0)
		return unsized_run(t);
	if (destination_admit(t) == -1 || plan_make(t, PLAN_SEND) == -1 || upload_begin(t) == -1)
		return -1;
	checkpoint_total(t);
	return move_parts(t) == -1 ? -1 : finish(t);
}

static int
carry_sent(struct transfer *t)
{
	bool completed;

	if (destination_admit(t) == -1 || plan_make(t, PLAN_SEND) == -1 ||
	    resume_or_begin(t, PLAN_SEND, &completed) == -1)
		return -1;
	transfer_log_start(t);
	/* a single PUT ends soon, and its end records the size */
	if (transfer_has_parts(t) || task_is_again(t->task))
		checkpoint_total(t);
	if (completed)
		return 0;
	if (move(t) == 0)
		return t->outcome.skipped ? 0 : finish(t);
	if (t->way == WAY_PUT && destination_lacks_condition(t, OP_PUT))
		return carry_as_upload(t);
	return -1;
}

/* The source's size is known. */
static int
carry_sized(struct transfer *t)
{
	if (copy_applies(t)) {
		switch (copy_run(t)) {
		case COPY_DONE:
			return 0;
		case COPY_FAILED:
			return -1;
		case COPY_REFUSED:
			break;
		}
	}
	return carry_sent(t);
}

static int
carry(struct transfer *t)
{
	struct failure *f = &t->failure;

	if (destination_init(t) == -1 || source_init(t->w, &t->source, t->task->source, f) == -1)
		return -1;
	t->source.end_expected = t->task->has_expect_size || t->task->has_expect_crc64;
	/* a task that is claimed for the first time has no checkpoint */
	if (task_is_again(t->task) && (checkpoint_load(t) == -1 || spoiled_meet(t) == -1))
		return -1;
	if ((opening_is_wanted(t) ? opening_run(t) : source_open(t->w, &t->source, f)) == -1)
		return -1;
	t->served[END_SOURCE] = t->serves[END_SOURCE] = true;
	if (check_size(t) == -1)
		return -1;
	/* an earlier attempt that was about to send Complete may have made the object there */
	if (destination_look(t, t->checkpoint.found && t->checkpoint.completing) == -1)
		return -1;
	if (t->outcome.skipped)
		return 0;
	if (open_unpinned(t) == -1)
		return -1;
	destination_describe(t);
	return t->size >= 0 ? carry_sized(t) : unsized_run(t);
}

static void
report_object(const struct transfer *t, struct msg_result *result)
{
	const struct outcome *o = &t->outcome;

	result->bytes = o->skipped ? 0 : t->size;
	result->bytes_total = t->size;
	result->has_crc64 = transfer_knows_crc64(t);
	result->crc64 = o->crc64;
	result->copied = transfer_is_copy(t);
	result->resumed = t->resumed;
	result->streams = t->most_in_flight;
	strlcpy(result->etag, o->etag, sizeof(result->etag));
	strlcpy(result->warning, o->warning, sizeof(result->warning));
	/* a store may put anything into its ETags and names; the master takes printable ASCII */
	text_make_plain(result->etag);
	text_make_plain(result->warning);
	strlcpy(result->verified_by, o->verified_by != NULL ? o->verified_by : "none",
	    sizeof(result->verified_by));
}

static void
report(struct transfer *t, int rc, int64_t peak, struct msg_result *result)
{
	memset(result, 0, sizeof(*result));
	result->task = t->task->id;
	result->claim = t->task->claim;
	result->result = (int)end_task(t, rc, peak);
	result->bytes = t->bytes_done;
	if (rc == 0)
		report_object(t, result);
	result->peak_memory = peak;
	result->elapsed_ms = clock_ms() - t->started_at;
	result->damaged = t->damaged;
	blame_report(t, result);
}

static void
measure_rate(struct transfer *t, int64_t moved, int64_t now)
{
	if (now <= t->moved_at)
		return;
	t->rate = moved > t->moved_last ? (moved - t->moved_last) * 1000 / (now - t->moved_at) : 0;
	t->moved_last = moved;
	t->moved_at = now;
}

/* Once a second, from inside the loop. */
static void
on_progress(struct transfer *t, int64_t now, struct msg_progress *progress)
{
	int64_t moved = t->bytes_done + move_in_flight(t), total = transfer_total(t);
	char rate[32];

	opening_watch(t, now);
	measure_rate(t, moved, now);
	progress->task = t->task->id;
	progress->claim = t->task->claim;
	progress->bytes_done = moved;
	progress->bytes_total = total;
	progress->rate = t->rate;
	blame_report_served(t, progress->served);
	units_format_size(rate, sizeof(rate), t->rate);
	t->w->titled = false;
	if (total > 0)
		setproctitle("-ferry-worker %d: task %" PRId64 " %d%% %s/s", t->w->slot,
		    t->task->id, (int)(moved * 100.0 / (double)total), rate);
	else
		setproctitle(
		    "-ferry-worker %d: task %" PRId64 " %s/s", t->w->slot, t->task->id, rate);
}

static struct transfer *
begin(struct worker *w)
{
	struct transfer *t = memory_alloc(sizeof(*t));

	t->w = w;
	t->task = &w->task;
	t->size = t->source.pin.size = -1;
	t->source.fd = -1;
	t->started_at = t->moved_at = clock_ms();
	failure_init(&t->failure);
	w->transfer = t;
	w->progress = on_progress;
	return t;
}

static void
release(struct transfer *t)
{
	t->w->transfer = NULL;
	parts_release(t);
	opening_release(t);
	source_release(&t->source);
	destination_release(t);
	memory_free(t);
}

/*
 * True if *t was refused for its plan, and another plan may succeed.  *t is a new transfer then,
 * which has nothing of the old one but what concerns the attempt as a whole.
 */
static bool
begin_anew(struct transfer **t)
{
	struct worker *w = (*t)->w;
	int64_t started_at = (*t)->started_at;
	int puts = (*t)->puts;
	bool larger_parts;

	if (worker_interrupted(w) || !limits_learn(*t))
		return false;
	log_info(
	    "task %" PRId64 ": begun anew with other parts: %s", w->task.id, (*t)->failure.text);
	larger_parts = (*t)->larger_parts;
	if (upload_drop(*t) == -1)
		return false;
	release(*t);
	*t = begin(w);
	(*t)->started_at = started_at;
	(*t)->puts = puts;
	(*t)->larger_parts = larger_parts;
	return true;
}

void
carry_task(struct worker *w, struct msg_result *result)
{
	struct transfer *t = begin(w);
	int rc = carry(t);

	while (rc == -1 && begin_anew(&t))
		rc = carry(t);

	/* a skipped task leaves no upload behind, be it of this attempt or an earlier one */
	if (rc == 0 && t->outcome.skipped)
		rc = upload_drop(t);
	report(t, rc, memory_peak(w->setup->config.peak_file), result);
	release(t);
}
