#include "master/phase.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "master/os/daemon.h"
#include "master/os/notify.h"
#include "master/pool/pool.h"
#include "master/queue/deaths.h"
#include "master/queue/done.h"
#include "master/queue/requeue.h"

/* For the last statements, if the grace leaves them less or the database is away. */
#define LEAVE_MS 1000

void
phase_started(struct master *m)
{
	if (m->state.phase != PHASE_STARTING)
		return;
	m->state.phase = PHASE_RUNNING;
	daemon_ready(m->ready_fd, log_fd() != STDERR_FILENO);
	m->ready_fd = -1;
	notify_ready();
	log_info("ferryd %s is up, %d workers", FERRY_VERSION, m->pool.target);
}

void
phase_fail(struct master *m, int code, const char *fmt, ...)
{
	char text[3 * CONFIG_PATH_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_event(LOG_CRIT, "%s", text);
	if (log_fd() != STDERR_FILENO)
		dprintf(STDERR_FILENO, "ferryd: %s\n", text);
	m->exit_code = code;
	m->state.phase = PHASE_GONE;
}

static void
kill_all(struct master *m)
{
	struct slot *slot;

	POOL_FOREACH (slot, &m->pool)
		if (slot_is_live(slot))
			slot_kill_forgiven(slot);
}

void
phase_stop(struct master *m)
{
	struct slot *slot;

	if (m->state.phase >= PHASE_STOPPING) {
		if (m->state.phase == PHASE_STOPPING)
			log_warn("stopping at once");
		kill_all(m);
		m->grace_ends = clock_ms();
		return;
	}
	m->state.phase = PHASE_STOPPING;
	m->grace_ends = m->phase_deadline = clock_ms() + m->state.conf->worker.grace_ms;
	notify_stopping();
	log_info("stopping: %d workers have %d s to hand back", pool_count_live(&m->pool),
	    (int)(m->state.conf->worker.grace_ms / 1000));
	POOL_FOREACH (slot, &m->pool)
		if (slot_is_live(slot))
			pool_stop(slot);
}

void
phase_drain(struct master *m)
{
	struct slot *slot;

	if (m->state.phase >= PHASE_DRAINING)
		return;
	m->state.phase = PHASE_DRAINING;
	notify_stopping();
	log_info("draining: %d workers end after their task", pool_count_live(&m->pool));
	POOL_FOREACH (slot, &m->pool)
		if (slot_is_live(slot))
			pool_drain(slot);
}

static bool
is_late(const struct master *m)
{
	return m->phase_deadline != 0 && m->phase_deadline <= clock_ms();
}

/*
 * Whether waiting for the last statements is in vain.  They may take what is left of the grace if
 * the database is up, or if there are results to settle.
 */
static bool
is_in_vain(const struct master *m)
{
	return m->grace_ends <= clock_ms() || (done_count(&m->queue) == 0 && !db_is_up(m->node.db));
}

static void
give_up(struct master *m)
{
	const char *why = db_is_up(m->node.db) ? "has not answered in time" : "is away";

	if (done_count(&m->queue) > 0)
		log_warn("%d tasks are done, and their rows could not be settled",
		    done_count(&m->queue));
	log_warn(
	    "the database %s: the tasks of this node return to the queue when its lease lapses",
	    why);
	m->state.phase = PHASE_GONE;
}

/*
 * Results and deaths are settled before the last statement, which requeues all tasks that are still
 * running.
 */
static void
leave(struct master *m)
{
	bool settled = done_count(&m->queue) == 0;

	if (requeue_has_left(&m->queue) ||
	    (node_id(&m->node) == 0 && deaths_are_settled(&m->queue) && settled)) {
		m->state.phase = PHASE_GONE;
		return;
	}
	if (settled && requeue_leave(&m->queue))
		m->phase_deadline = clock_ms() + LEAVE_MS;
	if (!is_late(m))
		return;
	if (is_in_vain(m))
		give_up(m);
	else
		m->phase_deadline = clock_ms() + LEAVE_MS;
}

static void
begin_to_leave(struct master *m)
{
	if (m->state.phase == PHASE_DRAINING)
		m->grace_ends = clock_ms() + m->state.conf->worker.grace_ms;
	m->state.phase = PHASE_LEAVING;
	m->phase_deadline = clock_ms() + LEAVE_MS;
}

void
phase_run(struct master *m)
{
	if (m->state.phase == PHASE_STOPPING && is_late(m)) {
		m->phase_deadline = 0;
		log_warn(
		    "%d workers have not handed back in time: killed", pool_count_live(&m->pool));
		kill_all(m);
	}
	if ((m->state.phase == PHASE_DRAINING || m->state.phase == PHASE_STOPPING) &&
	    pool_count_live(&m->pool) == 0)
		begin_to_leave(m);
	if (m->state.phase == PHASE_LEAVING)
		leave(m);
}

int64_t
phase_deadline(const struct master *m)
{
	return m->phase_deadline;
}
