/*
 * Owns the change from one configuration to the next.  Each worker has for life the one that it was started with.
 */
#include "master/reload.h"

#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "master/claim.h"
#include "master/notify.h"
#include "master/pool.h"
#include "master/post.h"
#include "master/quota.h"
#include "master/shares.h"

bool
reload_recycles(const struct config *a, const struct config *b)
{
	return memcmp(&a->worker, &b->worker, sizeof(a->worker)) != 0 || a->nstores != b->nstores ||
	       memcmp(a->stores, b->stores, sizeof(a->stores[0]) * (size_t)a->nstores) != 0 ||
	       strcmp(a->log_level, b->log_level) != 0;
}

static void
send_log(struct master *m)
{
	struct slot *slot;
	struct msg msg = { .type = MSG_LOG };

	if (log_fd() < 0)
		return; /* syslog is nothing that can be handed over */
	POOL_FOREACH (slot, m)
		if (pool_is_live(slot))
			post_send(slot, &msg, log_fd());
}

/* Workers get a descriptor; one that is to use syslog from now on, or no longer, has to be another worker. */
static bool
change_log(struct master *m, const struct config *next)
{
	bool was_syslog = log_fd() == LOG_FD_SYSLOG;

	if (m->foreground || strcmp(m->conf->log, next->log) == 0)
		return false;
	if (log_open(next->log) == -1) {
		log_error("log %s: %s; the old one stays", next->log, strerror(errno));
		return false;
	}
	if (was_syslog || log_fd() == LOG_FD_SYSLOG)
		return true;
	send_log(m);
	return false;
}

static void
keep_text(const char *name, char *next, const char *old, size_t size)
{
	if (strcmp(next, old) == 0)
		return;
	log_warn("%s changes with a restart only", name);
	strlcpy(next, old, size);
}

/* What only a start can put in force stays as it is. */
static void
keep_fixed(const struct config *old, struct config *next)
{
	keep_text("user", next->user, old->user, sizeof(next->user));
	keep_text("pidfile", next->pidfile, old->pidfile, sizeof(next->pidfile));
	keep_text("cgroup", next->cgroup, old->cgroup, sizeof(next->cgroup));
	keep_text("worker_program", next->worker_program, old->worker_program, sizeof(next->worker_program));
	keep_text("database", next->worker.database, old->worker.database, sizeof(next->worker.database));
	if (next->memory_backend != old->memory_backend)
		log_warn("memory_backend changes with a restart only");
	next->memory_backend = old->memory_backend;
}

void
reload_configuration(struct master *m)
{
	char why[1024];
	struct config *next, *old = m->conf;
	bool recycle;

	notify_reloading();
	next = config_load(old->file, why, sizeof(why));
	if (next == NULL) {
		log_error("reload: %s; the old configuration stays in force", why);
		notify_ready();
		return;
	}
	keep_fixed(old, next);
	recycle = reload_recycles(old, next);
	if (change_log(m, next))
		recycle = true;
	log_set_max_priority(strcmp(next->log_level, "debug") == 0 ? LOG_DEBUG : LOG_INFO);
	m->conf = next;
	if (recycle)
		m->conf_generation++;
	pool_resize(m, next->workers);
	config_free(old);
	m->queue.renew_at = m->queue.renew_at == 0 ? 0 : clock_ms(); /* the lease may be another */
	claim_wake(m);
	quota_state(m);
	shares_divide(m);
	log_info("reloaded %s: %d workers%s", next->file, m->pool.target, recycle ? ", replaced as they become idle" : "");
	notify_ready();
}

void
reload_log(struct master *m)
{
	if (log_reopen() == -1) {
		log_error("log %s cannot be opened again: %s", m->conf->log, strerror(errno));
		return;
	}
	send_log(m);
	log_info("log reopened");
}
