/*
 * ferry-worker SLOT GENERATION LOG: carries tasks and reaps uploads, one after the other.  Only
 * ferryd starts it: see common/channel.h.
 *
 * ferry-worker --probe read|write URI ...: makes some requests to each store, and prints what came
 * of them.  Only "ferryctl doctor" starts it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/channel.h"
#include "worker/base/memory.h"
#include "worker/session/connection.h"
#include "worker/session/session.h"
#include "worker/http/http.h"
#include "worker/event/loop.h"
#include "worker/endpoint/landlock.h"
#include "worker/task/carry.h"
#include "worker/cleanup/reap.h"
#include "worker/confine.h"
#include "worker/fault.h"
#include "worker/filter.h"
#include "worker/probe.h"

#define HAND_BACK_MS 10000

extern char **environ;

static void
options(struct worker *w, int argc, char **argv, int *last_fd)
{
	const char *wrong;

	if (argc != 4)
		fatal(EX_USAGE, "ferry-worker is started by ferryd, not by hand");
	w->slot = (int)strtonum(argv[1], 0, CONFIG_WORKERS_MAX, &wrong);
	if (wrong == NULL)
		w->generation = (uint64_t)strtonum(argv[2], 0, INT64_MAX, &wrong);
	if (wrong != NULL)
		fatal(EX_USAGE, "slot or generation: %s", wrong);
	log_init("ferry-worker", w->slot);
	*last_fd = WORKER_CHANNEL_FD;
	if (strcmp(argv[3], WORKER_LOG_FILE) == 0) {
		log_open_fd(WORKER_LOG_FD);
		*last_fd = WORKER_LOG_FD;
	} else if (strcmp(argv[3], WORKER_LOG_SYSLOG) == 0) {
		log_open_fd(LOG_FD_SYSLOG);
	}
}

static bool
is_set_up(void *arg, int64_t *wake)
{
	(void)wake;
	return ((const struct worker *)arg)->setup != NULL;
}

/* Returns the exit code. */
static int
probe(struct worker *w, int argc, char **argv)
{
	log_set_max_priority(LOG_ERR); /* what matters is printed */
	if (loop_wait(w, is_set_up, w, 0) == LOOP_INTERRUPTED)
		return EX_UNAVAILABLE;
	landlock_restrict(w->setup);
	filter_install();
	probe_stores(w, strcmp(argv[2], WORKER_PROBE_WRITE) == 0, argv + 3, argc - 3);
	return 0;
}

static bool
has_news(void *arg, int64_t *wake)
{
	const struct worker *w = arg;

	(void)wake;
	return w->has_task || w->reap || w->retire;
}

/* Between tasks: puts a new configuration in force, and renews an old connection. */
static void
tidy(struct worker *w)
{
	session_apply(w);
	if (db_age(w->db) > w->setup->config.worker.database_max_age_ms)
		db_renew(w->db);
}

/* Returns true if the worker goes on, and the master knows that. */
static bool
carry(struct worker *w)
{
	struct msg_result result;
	bool stays;

	carry_task(w, &result);
	connection_settle(w);
	w->has_task = w->cancelled = w->revoked = false;
	if (w->unsettled)
		return false;
	stays = !worker_interrupted(w) && !w->retire;
	result.goes_on = stays && w->has_next;
	result.ready = stays && !w->has_next;
	session_result(w, &result);
	tidy(w);
	if (result.goes_on != 0 && !w->eof)
		session_go_on(w);
	return stays;
}

static void
reap(struct worker *w)
{
	reap_run(w);
	connection_settle(w);
}

/* A process that may not write to a root that was mounted late gives its task to a new process. */
static void
look_at_roots(struct worker *w)
{
	if (worker_interrupted(w) || !landlock_is_outdated(&w->task))
		return;
	log_info("task %" PRId64
		 ": the root of its file store was mounted after this worker started; a new worker "
		 "takes the task",
	    w->task.id);
	w->stop = true;
	w->deadline = clock_ms() + HAND_BACK_MS;
}

/* Returns the exit code. */
static int
work(struct worker *w)
{
	bool said;

	if (loop_wait(w, is_set_up, w, 0) == LOOP_INTERRUPTED)
		return 0;
	/* before the first word of a stranger is read */
	landlock_restrict(w->setup);
	filter_install();
	connection_open(w);
	session_ready(w);
	for (;;) {
		session_idle(w);
		if (loop_wait(w, has_news, w, 0) == LOOP_INTERRUPTED)
			return 0;
		said = false;
		if (w->has_task) {
			look_at_roots(w);
			said = carry(w);
		} else if (w->retire)
			return 0;
		else
			reap(w);
		if (w->unsettled)
			return EX_TEMPFAIL;
		if (worker_interrupted(w) || w->retire)
			return 0;
		w->reap = false;
		if (!said)
			session_ready(w);
	}
}

int
main(int argc, char **argv)
{
	static struct worker w;
	int last_fd = WORKER_CHANNEL_FD, rc;
	bool probes = argc >= 3 && strcmp(argv[1], WORKER_PROBE) == 0;

	setproctitle_init(argc, argv, environ);
	log_init("ferry-worker", -1);
	w.channel = WORKER_CHANNEL_FD;
	gethostname(w.host, sizeof(w.host) - 1);
	if (!probes)
		options(&w, argc, argv, &last_fd);
	confine(w.slot, w.channel, last_fd);
	memory_init();
	confine_watch_master(w.channel);
	fault_watch(w.channel, w.slot, w.generation);
	w.http = http_new(&w);
	setproctitle("-ferry-worker %d: starting", w.slot);

	rc = probes ? probe(&w, argc, argv) : work(&w);

	db_free(w.db);
	http_free(w.http);
	session_release(&w);
	return rc;
}
