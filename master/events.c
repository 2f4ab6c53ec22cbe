#include "master/events.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "master/exits.h"
#include "master/keys/keys.h"
#include "master/limits/health.h"
#include "master/limits/holds.h"
#include "master/limits/quota.h"
#include "master/node/waiting.h"
#include "master/os/signals.h"
#include "master/phase.h"
#include "master/pool/connections.h"
#include "master/pool/pool.h"
#include "master/queue/assign.h"
#include "master/queue/behind.h"
#include "master/queue/stock.h"
#include "master/reload.h"
#include "master/upkeep/faults.h"

static void
on_fits(void *arg)
{
	struct master *m = arg;

	node_enter(&m->node);
}

static void
on_ready(void *arg)
{
	struct master *m = arg;

	m->pool.database_at = clock_ms();
	quota_declare(&m->limits);
	holds_write(&m->limits);
	/* the database may have been restored */
	m->state.agenda.reconcile = m->state.agenda.check = true;
	agenda_claim(&m->state.agenda);
	faults_look(&m->upkeep);
	phase_started(m);
}

static void
on_lapsed(void *arg)
{
	struct master *m = arg;
	struct slot *slot;

	POOL_FOREACH (slot, &m->pool) {
		assign_cancel(slot);
		assign_cancel_next(slot);
	}
	stock_release(&m->queue);
}

/* A start that can only wait is a start. */
static void
on_waits(void *arg)
{
	struct master *m = arg;
	char text[NODE_REFUSED_MAX + 64];

	if (m->ready_fd != -1 && waiting_for(&m->node, text, sizeof(text)))
		dprintf(STDERR_FILENO, "ferryd: it is up, and %s\n", text);
	phase_started(m);
}

static void
on_down(void *arg)
{
	struct master *m = arg;
	struct db_outage outage;

	m->pool.database_at = 0;
	connections_forget(&m->pool);
	second_close(&m->node);
	aside_close(&m->node);
	quota_forget(&m->limits);
	if (m->state.phase == PHASE_STARTING && db_outage(m->node.db, &outage) && outage.stays)
		phase_fail(m, EX_CONFIG, "the database cannot be used: %s", outage.why);
	else
		on_waits(m);
}

/* An unknown word, of a newer version, counts as none. */
static void
on_notify_reap(struct agenda *a, const char *word)
{
	if (strcmp(word, "soon") == 0)
		agenda_reap_soon(a);
	else if (strcmp(word, "later") == 0)
		agenda_reap_later(a);
	else
		agenda_reap_now(a);
}

static void
on_notify(void *arg, const char *channel, const char *payload)
{
	struct master *m = arg;
	struct agenda *a = &m->state.agenda;

	if (strcmp(channel, "ferry_cancel") == 0) {
		agenda_cancelled(a);
		behind_let_go(&m->queue);
		return;
	}
	if (strcmp(channel, "ferry_reap") == 0) {
		on_notify_reap(a, payload);
		return;
	}
	if (strcmp(channel, "ferry_limit") == 0 && strncmp(payload, "well ", 5) == 0)
		health_hear(&m->limits, payload + 5);
	else if (strcmp(channel, "ferry_limit") == 0)
		agenda_limits(a);
	agenda_wake(a); /* ferry_task, or more room under a limit */
}

static void
on_refused(void *arg, const char *why)
{
	phase_fail(arg, EX_CONFIG, "the database cannot be used: %s", why);
}

struct link_events
events_of_link(struct master *m)
{
	return (struct link_events){
		.fits = on_fits,
		.ready = on_ready,
		.lapsed = on_lapsed,
		.down = on_down,
		.notify = on_notify,
		.waits = on_waits,
		.refused = on_refused,
		.arg = m,
	};
}

static void
resize(struct pool *p, int by)
{
	if (pool_resize(p, p->target + by))
		log_info("%d workers wanted", p->target);
	else if (p->target == CONFIG_WORKERS_MAX)
		log_info("%d workers wanted, the most that there can be", p->target);
	else
		log_info("%d workers wanted, as before: memory_total holds no more", p->target);
}

/* Whether the process is a worker, the exporter or a command, whose ends others take. */
static bool
is_ours(const struct master *m, pid_t pid)
{
	const struct slot *slot;

	POOL_FOREACH (slot, &m->pool)
		if (slot->pid == pid)
			return true;
	return m->exporter.pid == pid || keys_have_process(&m->keys, pid);
}

/* Process 1, as in a container, inherits the children of other processes that end. */
static void
reap_orphans(const struct master *m)
{
	siginfo_t info;

	for (;;) {
		info.si_pid = 0;
		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == -1 ||
		    info.si_pid == 0 || is_ours(m, info.si_pid))
			return;
		waitpid(info.si_pid, NULL, WNOHANG);
	}
}

/*
 * A process without a pidfd may have ended.  There is none after too many open files, or on an old
 * kernel.
 */
static void
on_child(struct master *m)
{
	struct slot *slot;
	bool first = getpid() == 1;

	POOL_FOREACH (slot, &m->pool)
		if (slot_is_live(slot) && (first || slot->pidfd == -1))
			exits_take(m, slot);
	keys_run(&m->keys);
	exporter_take_end(&m->exporter);
	if (first)
		reap_orphans(m);
}

static void
on_signal(struct master *m, int signo)
{
	bool ending = state_is_ending(&m->state);

	switch (signo) {
	case SIGTERM:
	case SIGINT:
		phase_stop(m);
		break;
	case SIGQUIT:
		phase_drain(m);
		break;
	case SIGHUP:
		if (!ending)
			reload_configuration(m);
		break;
	case SIGUSR1:
		reload_log(m);
		break;
	case SIGTTIN:
	case SIGTTOU:
		if (!ending)
			resize(&m->pool, signo == SIGTTIN ? 1 : -1);
		break;
	case SIGCHLD:
		on_child(m);
		break;
	default:
		break;
	}
}

void
events_signals(struct master *m)
{
	int signo;

	while ((signo = signals_next(m->signal_fd)) != 0)
		on_signal(m, signo);
}
