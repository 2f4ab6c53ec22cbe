#include "master/reload.h"

#include <errno.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "master/keys/keys.h"
#include "master/limits/health.h"
#include "master/limits/quota.h"
#include "master/limits/shares.h"
#include "master/os/notify.h"
#include "master/pool/pool.h"

/* New keys need no new worker: they are sent to those that run. */
static bool
differs_beyond_keys(const struct config_store *a, const struct config_store *b)
{
	struct config_store x;
	struct store_keys keys;
	bool differs;

	memcpy(&x, a, sizeof(x));
	config_get_keys(b, &keys);
	config_set_keys(&x, &keys);
	differs = memcmp(&x, b, sizeof(x)) != 0;
	explicit_bzero(&x, sizeof(x));
	explicit_bzero(&keys, sizeof(keys));
	return differs;
}

bool
reload_recycles(const struct config *a, const struct config *b)
{
	int i;

	if (memcmp(&a->worker, &b->worker, sizeof(a->worker)) != 0 || a->nstores != b->nstores ||
	    strcmp(a->log_level, b->log_level) != 0)
		return true;
	for (i = 0; i < a->nstores; i++)
		if (differs_beyond_keys(&a->stores[i], &b->stores[i]))
			return true;
	return false;
}

static void
send_log(struct pool *p)
{
	struct slot *slot;
	struct msg msg = { .type = MSG_LOG };

	if (log_fd() < 0)
		return; /* syslog has no descriptor to hand over */
	POOL_FOREACH (slot, p)
		if (slot_is_live(slot))
			outbox_send(slot, &msg, log_fd());
}

/*
 * Opens the log of the next configuration.  Workers get its descriptor.  Returns whether workers
 * have to be replaced instead: a change from or to syslog needs that.
 */
static bool
change_log(struct master *m, const struct config *next)
{
	bool was_syslog = log_fd() == LOG_FD_SYSLOG;

	if (m->state.foreground || strcmp(m->state.conf->log, next->log) == 0)
		return false;
	if (log_open(next->log) == -1) {
		log_error("log %s: %s; the old one stays", next->log, strerror(errno));
		return false;
	}
	if (was_syslog || log_fd() == LOG_FD_SYSLOG)
		return true;
	send_log(&m->pool);
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

/* Keys that only a start can put in force stay as they are. */
static void
keep_fixed(const struct config *old, struct config *next)
{
	keep_text("user", next->user, old->user, sizeof(next->user));
	keep_text("pidfile", next->pidfile, old->pidfile, sizeof(next->pidfile));
	keep_text("cgroup", next->cgroup, old->cgroup, sizeof(next->cgroup));
	keep_text("worker_program", next->worker_program, old->worker_program,
	    sizeof(next->worker_program));
	keep_text(
	    "database", next->worker.database, old->worker.database, sizeof(next->worker.database));
	if (next->memory_backend != old->memory_backend)
		log_warn("memory_backend changes with a restart only");
	next->memory_backend = old->memory_backend;
}

void
reload_configuration(struct master *m)
{
	char why[1024];
	struct config *next, *old = m->state.conf;
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
	m->state.conf = next;
	if (recycle)
		m->state.conf_generation++;
	keys_follow(&m->keys, old);
	exporter_follow(&m->exporter, old);
	pool_resize(&m->pool, next->workers);
	config_free(old);
	agenda_renew_by(&m->state.agenda, clock_ms()); /* the lease may have another length */
	agenda_claim(&m->state.agenda);
	quota_declare(&m->limits);
	health_reload(&m->limits);
	shares_divide(&m->limits);
	log_info("reloaded %s: %d workers%s", next->file, m->pool.target,
	    recycle ? ", replaced as they become idle" : "");
	notify_ready();
}

void
reload_log(struct master *m)
{
	if (log_reopen() == -1) {
		log_error("log %s cannot be opened again: %s", m->state.conf->log, strerror(errno));
		return;
	}
	send_log(&m->pool);
	log_info("log reopened");
}
