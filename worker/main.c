/*
 * ferry-worker SLOT GENERATION LOGKIND: started by ferryd only, with the channel as descriptor 3.  LOGKIND is "file" (the
 * log is descriptor 4), "stderr" or "syslog".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "worker/confine.h"
#include "worker/http.h"
#include "worker/loop.h"
#include "worker/memory.h"
#include "worker/reap.h"
#include "worker/session.h"
#include "worker/transfer.h"

#define CHANNEL_FD 3
#define LOG_FD 4

extern char **environ;

static void
main_options(struct worker *w, int argc, char **argv, int *last_fd)
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
	*last_fd = CHANNEL_FD;
	if (strcmp(argv[3], "file") == 0) {
		log_open_fd(LOG_FD);
		*last_fd = LOG_FD;
	} else if (strcmp(argv[3], "syslog") == 0) {
		log_open_fd(LOG_FD_SYSLOG);
	}
}

/* Something to do, or the end. */
static bool
main_has_news(void *arg, int64_t *wake)
{
	const struct worker *w = arg;

	(void)wake;
	return w->has_task || w->reap || w->retire;
}

static bool
main_is_set_up(void *arg, int64_t *wake)
{
	(void)wake;
	return ((const struct worker *)arg)->setup != NULL;
}

static void
main_open_database(struct worker *w)
{
	char name[32];

	snprintf(name, sizeof(name), "ferry-worker %d", w->slot);
	w->db = db_new(w->setup->config.worker.database, name, NULL);
}

/* Between tasks: a new configuration, a handle that has grown old. */
static void
main_tidy(struct worker *w)
{
	char database[CONFIG_PATH_MAX];

	strlcpy(database, w->setup->config.worker.database, sizeof(database));
	session_apply(w);
	if (strcmp(database, w->setup->config.worker.database) != 0) {
		db_free(w->db);
		main_open_database(w);
	} else if (db_age(w->db) > w->setup->config.worker.database_max_age_ms) {
		db_renew(w->db);
	}
}

/* True if the master knows that we are ready for more. */
static bool
main_carry(struct worker *w)
{
	struct msg_result result;
	bool stays;

	transfer_run(w, &result);
	w->has_task = w->cancelled = w->stale = false;
	if (w->unsettled)
		return false;
	stays = !worker_interrupted(w) && !w->retire;
	result.goes_on = stays && w->has_next;
	result.ready = stays && !w->has_next;
	session_result(w, &result);
	main_tidy(w);
	if (result.goes_on != 0 && !w->eof)
		session_go_on(w);
	return stays;
}

/* Until it is told to go. */
static int
main_work(struct worker *w)
{
	bool said;

	if (loop_wait(w, main_is_set_up, w, 0) == -1)
		return 0;
	main_open_database(w);
	session_ready(w);
	for (;;) {
		session_idle(w);
		if (loop_wait(w, main_has_news, w, 0) == -1)
			return 0;
		said = false;
		if (w->has_task)
			said = main_carry(w);
		else if (w->retire)
			return 0;
		else
			reap_run(w);
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
	int last_fd, rc;

	setproctitle_init(argc, argv, environ);
	log_init("ferry-worker", -1);
	w.channel = CHANNEL_FD;
	gethostname(w.host, sizeof(w.host) - 1);
	main_options(&w, argc, argv, &last_fd);
	confine(w.slot, w.channel, last_fd);
	memory_init();
	confine_watch_master(w.channel);
	w.http = http_new(&w);
	setproctitle("-ferry-worker %d: starting", w.slot);

	rc = main_work(&w);

	db_free(w.db);
	http_free(w.http);
	session_release(&w);
	return rc;
}
