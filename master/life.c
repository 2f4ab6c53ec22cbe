/*
 * Owns master.phase.
 */
#include "master/life.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "master/daemon.h"
#include "master/notify.h"
#include "master/pool.h"
#include "master/post.h"
#include "master/recover.h"
#include "master/results.h"

#define LEAVE_MS 1000 /* for the last statements, where grace leaves them less or the database is away */

void
life_started(struct master *m)
{
	if (m->phase != PHASE_STARTING)
		return;
	m->phase = PHASE_RUNNING;
	daemon_ready(m->ready_fd, log_fd() != STDERR_FILENO);
	m->ready_fd = -1;
	notify_ready();
	log_info("ferryd %s is up, %d workers", FERRY_VERSION, m->pool.target);
}

void
life_fail(struct master *m, int code, const char *fmt, ...)
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
	m->phase = PHASE_GONE;
}

static void
kill_all(struct master *m)
{
	struct slot *slot;

	POOL_FOREACH (slot, m)
		if (pool_is_live(slot)) {
			slot->forgiven = true;
			pool_kill(slot);
		}
}

void
life_stop(struct master *m)
{
	struct slot *slot;

	if (m->phase >= PHASE_STOPPING) {
		if (m->phase == PHASE_STOPPING)
			log_warn("stopping at once");
		kill_all(m);
		m->grace_ends = clock_ms();
		return;
	}
	m->phase = PHASE_STOPPING;
	m->grace_ends = m->phase_deadline = clock_ms() + m->conf->worker.grace_ms;
	notify_stopping();
	log_info("stopping: %d workers have %d s to hand back", pool_count_live(m), (int)(m->conf->worker.grace_ms / 1000));
	POOL_FOREACH (slot, m)
		if (pool_is_live(slot)) {
			slot->retiring = true;
			slot->kill_at = 0;
			post_simple(slot, MSG_STOP);
		}
}

void
life_drain(struct master *m)
{
	struct slot *slot;

	if (m->phase >= PHASE_DRAINING)
		return;
	m->phase = PHASE_DRAINING;
	notify_stopping();
	log_info("draining: %d workers end after their task", pool_count_live(m));
	POOL_FOREACH (slot, m)
		if (pool_is_live(slot) && !slot->retiring) {
			slot->retiring = true;
			post_simple(slot, MSG_RETIRE);
		}
}

static bool
is_late(const struct master *m)
{
	return m->phase_deadline != 0 && m->phase_deadline <= clock_ms();
}

/*
 * The last statement is worth as much time as the grace has left, if the database is there; what has been carried is worth it in any
 * case.
 */
static bool
is_in_vain(const struct master *m)
{
	return m->grace_ends <= clock_ms() || (results_count(m) == 0 && !db_is_up(m->db));
}

static void
give_up(struct master *m)
{
	const char *why = db_is_up(m->db) ? "has not answered in time" : "is away";

	if (results_count(m) > 0)
		log_warn("%d tasks are done whose rows could not be settled", results_count(m));
	log_warn("the database %s: what this node still has returns to the queue with its lease", why);
	m->phase = PHASE_GONE;
}

/* Deaths and results are settled by statements before the last one, which would give back what is not. */
static void
leave(struct master *m)
{
	bool settled = results_count(m) == 0;

	if (m->queue.left || (m->queue.node == 0 && TAILQ_EMPTY(&m->deaths) && settled)) {
		m->phase = PHASE_GONE;
		return;
	}
	if (!m->queue.leaving && settled && recover_leave(m)) {
		m->queue.leaving = true;
		m->phase_deadline = clock_ms() + LEAVE_MS;
	}
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
	if (m->phase == PHASE_DRAINING)
		m->grace_ends = clock_ms() + m->conf->worker.grace_ms;
	m->phase = PHASE_LEAVING;
	m->phase_deadline = clock_ms() + LEAVE_MS;
}

void
life_run(struct master *m)
{
	if (m->phase == PHASE_STOPPING && is_late(m)) {
		m->phase_deadline = 0;
		log_warn("%d workers have not handed back in time: killed", pool_count_live(m));
		kill_all(m);
	}
	if ((m->phase == PHASE_DRAINING || m->phase == PHASE_STOPPING) && pool_count_live(m) == 0)
		begin_to_leave(m);
	if (m->phase == PHASE_LEAVING)
		leave(m);
}

int64_t
life_deadline(const struct master *m)
{
	return m->phase_deadline;
}
