/*
 * Owns the reading end of the channels.  What a worker says is checked against what its slot is about; nonsense is logged
 * once and dropped.
 */
#include "master/dispatch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "master/abandoned.h"
#include "master/claim.h"
#include "master/limits.h"
#include "master/pool.h"
#include "master/post.h"
#include "master/prefetch.h"
#include "master/quota.h"
#include "master/results.h"
#include "master/shares.h"
#include "master/stock.h"

#define BATCH 32		/* messages of one worker before the others' turn */
#define END_AFTER_EOF_MS 5000	/* a worker without a channel has so long to end */

static void
send_task(struct slot *slot, const struct task *task)
{
	static struct msg msg = { .type = MSG_TASK }; /* large, sent often, and written by this alone */

	task_copy(&msg.task.task, task);
	post_send(slot, &msg, -1);
	log_debug("task %" PRId64 ": given to worker %d (pid %d)", task->id, slot->number, (int)slot->pid);
}

void
dispatch_begin(struct master *m, struct slot *slot, struct task *task)
{
	slot->task = task;
	slot->state = SLOT_BUSY;
	slot->ntasks++;
	slot->cancelled = false;
	slot->bytes_done = 0;
	slot->bytes_total = -1;
	slot->heard_at = clock_ms();
	limits_note_uses(slot);
	shares_divide(m);
	if (m->queue.check_at == 0)
		m->queue.check_at = clock_ms() + CLAIM_CHECK_MS;
}

void
dispatch_task(struct master *m, struct slot *slot, struct task *task)
{
	dispatch_begin(m, slot, task); /* first, so that it starts with its share of the rates */
	send_task(slot, task);
}

void
dispatch_next(struct slot *slot)
{
	send_task(slot, slot->next);
}

void
dispatch_send_cancel(struct slot *slot, const struct task *task)
{
	struct msg msg = { .type = MSG_CANCEL, .cancel = { .task = task->id, .claim = task->claim } };

	post_send(slot, &msg, -1);
}

void
dispatch_cancel(struct slot *slot)
{
	if (slot->task == NULL || slot->cancelled)
		return;
	slot->cancelled = true;
	dispatch_send_cancel(slot, slot->task);
}

void
dispatch_reap(struct slot *slot)
{
	slot->state = SLOT_BUSY;
	slot->reaping = true;
	slot->heard_at = clock_ms();
	post_simple(slot, MSG_REAP);
}

static void
complain(struct slot *slot, const char *what)
{
	if (!slot->complained)
		log_warn("worker %d (pid %d) %s; dropped", slot->number, (int)slot->pid, what);
	slot->complained = true;
}

static void
on_ready(struct master *m, struct slot *slot)
{
	if (slot->task != NULL) {
		log_error("worker %d (pid %d) is idle and has not said how task %" PRId64 " ended; killed", slot->number,
		    (int)slot->pid, slot->task->id);
		pool_kill(slot);
		return;
	}
	if (slot->state == SLOT_STARTING || slot->state == SLOT_BUSY)
		pool_idle(m, slot);
}

static bool
is_ours(const struct slot *slot, int64_t task, int64_t claim)
{
	return slot->task != NULL && slot->task->id == task && slot->task->claim == claim;
}

static void
on_progress(struct slot *slot, const struct msg_progress *progress)
{
	if (!is_ours(slot, progress->task, progress->claim))
		return;
	slot->bytes_done = progress->bytes_done < 0 ? 0 : progress->bytes_done;
	slot->bytes_total = progress->bytes_total < 0 ? -1 : progress->bytes_total;
	shares_note(slot, progress->rate < 0 ? 0 : progress->rate);
}

static void
on_result(struct master *m, struct slot *slot, const struct msg_result *result)
{
	if (!is_ours(slot, result->task, result->claim)) {
		complain(slot, "reports on a task that it does not have");
		return;
	}
	log_debug("task %" PRId64 ": worker %d says %s (%s)", result->task, slot->number, task_result_name(result->result),
	    error_class_name(result->error_class));
	if (result->result == TASK_DONE || result->result == TASK_SKIPPED)
		limits_relax(m, slot);
	if (result->result == TASK_FAILED)
		abandoned_soon(m);
	if (result->result == TASK_CANCELLED)
		abandoned_after_cancel(m);
	if (result->error_class == CLASS_THROTTLED)
		limits_throttle(m, result->throttled_store);
	pool_praise(slot);
	stock_note_end(m);
	if (result->result == TASK_DONE || result->result == TASK_SKIPPED)
		results_add(m, slot, result);
	else
		quota_leave(m, slot);
	pool_drop_task(slot);
	/* one that calls itself idle has it on its way */
	if (slot->next != NULL && (result->goes_on != 0 || result->ready != 0)) {
		prefetch_begun(m, slot);
		return;
	}
	shares_divide(m);
	if (result->ready != 0)
		pool_idle(m, slot);
}

static void
on_return(struct master *m, struct slot *slot, const struct msg_return *back)
{
	if (slot->next == NULL || slot->next->id != back->task || slot->next->claim != back->claim)
		return;
	log_debug("task %" PRId64 ": returned by worker %d, which is at work", back->task, slot->number);
	prefetch_returned(m, slot);
}

static void
on_message(struct master *m, struct slot *slot, const struct msg *msg)
{
	if (msg->slot != slot->number || msg->generation != slot->generation) {
		complain(slot, "speaks for another");
		return;
	}
	slot->heard_at = clock_ms();
	switch (msg->type) {
	case MSG_READY:
		on_ready(m, slot);
		break;
	case MSG_PROGRESS:
		on_progress(slot, &msg->progress);
		break;
	case MSG_RESULT:
		on_result(m, slot, &msg->result);
		break;
	case MSG_RETURN:
		on_return(m, slot, &msg->back);
		break;
	default:
		complain(slot, "sends what only the master may");
		break;
	}
}

static void
on_end_of_file(struct slot *slot)
{
	close(slot->channel);
	slot->channel = -1;
	post_discard(slot);
	if (slot->kill_at == 0 && !slot->killed)
		slot->kill_at = clock_ms() + END_AFTER_EOF_MS;
}

bool
dispatch_receive(struct master *m, struct slot *slot)
{
	struct msg msg;
	int i, got, fd;

	for (i = 0; i < BATCH && slot->channel != -1; i++) {
		got = channel_recv(slot->channel, &msg, &fd);
		if (got == -1 && errno == EBADMSG) {
			complain(slot, "sends a malformed message");
			continue;
		}
		if (got == -1 && (errno == EAGAIN || errno == EINTR))
			return false;
		if (got <= 0) {
			on_end_of_file(slot);
			return false;
		}
		if (fd != -1)
			close(fd);
		on_message(m, slot, &msg);
	}
	return slot->channel != -1;
}
