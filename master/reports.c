#include "master/reports.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/base/uri.h"
#include "master/believe.h"
#include "master/keys/keys.h"
#include "master/limits/health.h"
#include "master/limits/quota.h"
#include "master/limits/shares.h"
#include "master/limits/throttle.h"
#include "master/metrics/traffic.h"
#include "master/node/clocks.h"
#include "master/pool/connections.h"
#include "master/pool/pool.h"
#include "master/queue/assign.h"
#include "master/queue/behind.h"
#include "master/queue/deaths.h"
#include "master/queue/done.h"
#include "master/queue/handout.h"
#include "master/queue/progress.h"
#include "master/queue/stock.h"

#define BATCH 32 /* messages of one worker, then the others have their turn */

static void
complain(struct slot *slot, const char *what)
{
	if (slot_note_nonsense(slot))
		log_warn("worker %d (pid %d) %s; dropped", slot->number, (int)slot->pid, what);
}

/* What cannot be true is not stored, and who says it is not trusted with another message. */
static void
refuse(struct slot *slot, int64_t task, const char *what)
{
	if (slot_is_killed(slot))
		return;
	log_error("worker %d (pid %d) reports %s for task %" PRId64
		  ", which cannot be; the report is dropped, and the worker killed",
	    slot->number, (int)slot->pid, what, task);
	slot_kill(slot, "it reported what cannot be");
}

static void
on_ready(struct master *m, struct slot *slot)
{
	if (slot->task != NULL) {
		task_log(slot->task, LOG_ERR,
		    ": worker %d (pid %d) is idle and has not said how the task ended; killed",
		    slot->number, (int)slot->pid);
		slot_kill(slot, "it was idle and had not said how its task ended");
		return;
	}
	if (slot->state == SLOT_STARTING || slot->state == SLOT_BUSY || slot->state == SLOT_REAPING)
		pool_idle(&m->pool, slot);
}

/* While the store is held, the log says so once, and not for each task. */
static void
log_postponed(const struct task *task, const struct msg_result *result)
{
	struct log_line line;

	task_log_begin(&line, LOG_INFO, task, " waits: %s", result->error);
	log_str(&line, "error_class", error_class_name(result->error_class));
	log_str(&line, "trouble", trouble_name(result->trouble));
	log_str(&line, "next", "queued again, not counted");
	log_end(&line);
}

static void
on_progress(struct master *m, struct slot *slot, const struct msg_progress *progress)
{
	const char *wrong = believe_progress(progress);
	int end;

	if (!slot_has_task(slot, progress->task, progress->claim))
		return;
	if (wrong != NULL) {
		refuse(slot, progress->task, wrong);
		return;
	}
	cap_leaf_look(m->pool.cap, &slot->leaf, slot->memory, &slot->kinds);
	progress_note(&m->queue, slot, progress);
	traffic_note(&m->state.figures, slot, slot->bytes_done);
	shares_note(slot, progress->rate < 0 ? 0 : progress->rate);
	for (end = 0; end < TASK_ENDS; end++)
		if (progress->served[end] != 0)
			health_served(&m->limits, slot->task, (enum task_end)end, false);
}

/* What the stores have shown of their health. */
static void
learn_health(struct master *m, const struct task *task, const struct msg_result *result)
{
	int end;

	for (end = 0; end < TASK_ENDS; end++)
		if (result->result == TASK_DONE || result->served[end] != 0)
			health_served(
			    &m->limits, task, (enum task_end)end, result->result == TASK_DONE);
	if (result->result == TASK_POSTPONED &&
	    !health_is_held(&m->limits, task, (enum task_end)result->end))
		log_postponed(task, result);
	if (health_failed(&m->limits, task, result))
		stock_release(&m->queue);
	health_ended(&m->limits, task);
}

/* The worker lives, and could not tell the database: the row is settled as after a death. */
static void
settle_for(struct master *m, const struct slot *slot, const struct msg_result *result)
{
	struct death *death = memory_alloc(sizeof(*death));

	death->kind = DEATH_FORGIVEN;
	death->worker = slot->number;
	death->pid = slot->pid;
	death->task = slot->task->id;
	death->claim = slot->task->claim;
	death->bytes_done = slot->bytes_done;
	death->bytes_total = slot->bytes_total;
	death->peak = -1;
	death->cap = slot->memory;
	death->cause = trouble_name(TROUBLE_DATABASE);
	snprintf(
	    death->verdict, sizeof(death->verdict), "gives up its task: %.400s", result->error);
	uri_redact(death->source, sizeof(death->source), slot->task->source);
	uri_redact(death->destination, sizeof(death->destination), slot->task->destination);
	deaths_add(&m->queue, death);
}

static void
learn_from_result(struct master *m, struct slot *slot, const struct msg_result *result)
{
	bool done = result->result == TASK_DONE || result->result == TASK_SKIPPED;

	traffic_result(&m->state.figures, slot, result);
	if (done)
		throttle_relax(&m->limits, slot);
	if (result->result == TASK_FAILED)
		agenda_reap_soon(&m->state.agenda);
	if (result->result == TASK_CANCELLED) {
		agenda_reap_later(&m->state.agenda);
		behind_let_go(&m->queue);
	}
	if (result->error_class == CLASS_THROTTLED)
		throttle_store(&m->limits, result->store);
	learn_health(m, slot->task, result);
	if (result->result == TASK_UNSETTLED)
		settle_for(m, slot, result);
	slot_praise(slot);
	stock_note_end(&m->queue);
	if (done)
		done_add(&m->queue, slot, result);
	else
		quota_task_over(&m->limits, slot);
}

static void
on_result(struct master *m, struct slot *slot, const struct msg_result *result)
{
	const char *wrong = believe_result(slot, result);

	if (!slot_has_task(slot, result->task, result->claim)) {
		complain(slot, "reports on a task that it does not have");
		return;
	}
	if (wrong != NULL) {
		refuse(slot, result->task, wrong);
		return;
	}
	log_debug("task %" PRId64 ": worker %d says %s (%s)", result->task, slot->number,
	    task_result_name(result->result), error_class_name(result->error_class));
	learn_from_result(m, slot, result);
	slot_drop_task(slot);
	/* a worker that calls itself idle has its next task on the way */
	if (slot->next != NULL && (result->goes_on != 0 || result->ready != 0)) {
		assign_begun(&m->queue, slot);
		return;
	}
	shares_divide(&m->limits);
	if (result->ready != 0)
		pool_idle(&m->pool, slot);
}

static void
on_return(struct master *m, struct slot *slot, const struct msg_return *back)
{
	if (!slot_has_next(slot, back->task, back->claim))
		return;
	log_debug(
	    "task %" PRId64 ": returned by worker %d, which is at work", back->task, slot->number);
	handout_returned(&m->queue, slot);
}

/*
 * What stores were asked, and their certificates.  After a reload a worker may name stores that the
 * configuration has no more: such a note is dropped.
 */
static void
on_store_note(struct master *m, struct slot *slot, const struct msg *msg)
{
	const struct config *conf = m->state.conf;
	bool is_old = slot->conf_generation != m->state.conf_generation;
	const char *wrong = msg->type == MSG_REQUESTS
				? believe_requests(conf, &msg->requests)
				: believe_certificate(conf, &msg->certificate);

	if (wrong != NULL && !is_old && slot_note_nonsense(slot))
		log_warn(
		    "worker %d (pid %d) reports %s; dropped", slot->number, (int)slot->pid, wrong);
	if (wrong != NULL)
		return;
	if (msg->type == MSG_REQUESTS)
		traffic_requests(&m->state.figures, &msg->requests);
	else
		figures_set(&m->state.figures.certificates, msg->certificate.store, "",
		    (uint64_t)msg->certificate.expires);
}

/* Messages about the worker and its surroundings.  Returns false if msg is none. */
static bool
on_note(struct master *m, struct slot *slot, const struct msg *msg)
{
	switch (msg->type) {
	case MSG_DATABASE:
		connections_note(&m->pool, slot, &msg->database);
		return true;
	case MSG_CLOCK:
		clocks_note(&m->node.clocks, msg->clock.store, msg->clock.ahead_s, clocks_epoch());
		return true;
	case MSG_CERTIFICATE:
	case MSG_REQUESTS:
		on_store_note(m, slot, msg);
		return true;
	case MSG_LOST:
		log_add_lost(msg->lost.lines, msg->lost.error);
		return true;
	default:
		return false;
	}
}

static void
on_message(struct master *m, struct slot *slot, const struct msg *msg)
{
	if (msg->slot != slot->number || msg->generation != slot->generation) {
		complain(slot, "sends a message of another worker");
		return;
	}
	slot_heard(slot);
	switch (msg->type) {
	case MSG_READY:
		on_ready(m, slot);
		break;
	case MSG_PROGRESS:
		on_progress(m, slot, &msg->progress);
		break;
	case MSG_RESULT:
		on_result(m, slot, &msg->result);
		break;
	case MSG_RETURN:
		on_return(m, slot, &msg->back);
		break;
	case MSG_FAULT:
		slot_note_fault(slot, &msg->fault);
		break;
	case MSG_REFUSED:
		keys_refused(&m->keys, msg->refused.store);
		break;
	default:
		if (!on_note(m, slot, msg))
			complain(slot, "sends a message that only the master may send");
		break;
	}
}

bool
reports_receive(struct master *m, struct slot *slot)
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
			pool_hang_up(slot);
			return false;
		}
		if (fd != -1)
			close(fd);
		on_message(m, slot, &msg);
	}
	return slot->channel != -1;
}
