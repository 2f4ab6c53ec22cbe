/*
 * The database handle: its life, its queue, and what becomes of the queue when a connection comes
 * or goes.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/channel.h"
#include "common/clock.h"
#include "common/db_internal.h"
#include "common/log.h"

void *
db_alloc(size_t size)
{
	void *p = malloc(size);

	if (p == NULL)
		fatal(WORKER_EXIT_MEMORY, "out of memory in the database handle");
	return p;
}

char *
db_strdup(const char *s)
{
	size_t size = strlen(s) + 1;

	return memcpy(db_alloc(size), s, size);
}

struct db *
db_new(const char *conninfo, const char *application_name, const struct db_events *events)
{
	struct db *db = db_alloc(sizeof(*db));

	memset(db, 0, sizeof(*db));
	TAILQ_INIT(&db->queue);
	TAILQ_INIT(&db->front);
	if (events != NULL)
		db->events = *events;
	db->application_name = db_strdup(application_name);
	db_connect_init(db, conninfo);
	db->state = DB_AWAY;
	db->deadline = clock_ms();
	return db;
}

void
db_free(struct db *db)
{
	struct db_entry *e;

	if (db == NULL)
		return;
	db_disconnect(db);
	db_connect_release(db);
	while ((e = TAILQ_FIRST(&db->queue)) != NULL) {
		TAILQ_REMOVE(&db->queue, e, link);
		free(e);
	}
	free(db->prepared);
	free(db->application_name);
	free(db);
}

int
db_fd(const struct db *db)
{
	return PQsocket(db->conn);
}

short
db_poll_events(const struct db *db)
{
	if (db->state == DB_CONNECTING)
		return db->polling == PGRES_POLLING_READING ? POLLIN : POLLOUT;
	if (db->state == DB_UP)
		return db->flushing ? POLLIN | POLLOUT : POLLIN;
	return 0;
}

int64_t
db_deadline(const struct db *db)
{
	if (db->state != DB_UP)
		return db->deadline;
	if (db_may_send(db))
		return db->resend_at != 0 ? db->resend_at : clock_ms();
	if (db->renew && db->pending == 0)
		return clock_ms();
	return db->deadline;
}

int
db_pending(const struct db *db)
{
	return db->pending;
}

bool
db_is_up(const struct db *db)
{
	return db->state == DB_UP;
}

int64_t
db_age(const struct db *db)
{
	return db->state == DB_UP ? clock_ms() - db->up_since : 0;
}

void
db_renew(struct db *db)
{
	if (db->state == DB_UP)
		db->renew = true;
}

void
db_submit(struct db *db, const struct db_stmt *stmt, const char *const *params, enum db_mode mode,
    db_callback *cb, void *arg)
{
	size_t size = sizeof(struct db_entry) + (size_t)stmt->nparams * sizeof(char *), len;
	struct db_entry *e;
	char *p;
	int i;

	for (i = 0; i < stmt->nparams; i++)
		size += params[i] != NULL ? strlen(params[i]) + 1 : 0;
	e = db_alloc(size);
	memset(e, 0, sizeof(*e));
	e->stmt = stmt;
	e->mode = mode;
	e->cb = cb;
	e->arg = arg;
	e->from_up = db->in_up;
	p = (char *)(e->params + stmt->nparams);
	for (i = 0; i < stmt->nparams; i++) {
		e->params[i] = params[i] != NULL ? p : NULL;
		if (params[i] == NULL)
			continue;
		len = strlen(params[i]) + 1;
		memcpy(p, params[i], len);
		p += len;
	}
	TAILQ_INSERT_TAIL(db->in_up ? &db->front : &db->queue, e, link);
	db->pending++;
}

void
db_finish(struct db *db, struct db_entry *e, enum db_status status, PGresult *res)
{
	char message[DB_WHY_MAX];
	const char *state;

	db->pending--;
	db->news = true;
	if (e->cb != NULL) {
		e->cb(e->arg, status, res);
	} else if (status == DB_ERROR) {
		state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
		log_error("statement %s: %s (%s)", e->stmt->name,
		    db_error_message(res, message, sizeof(message)),
		    state != NULL ? state : "no SQLSTATE");
	} else if (status == DB_LOST && !e->from_up) {
		log_warn("statement %s: sent, but the connection was lost before its answer",
		    e->stmt->name);
	}
	PQclear(res);
	free(e);
}

void
db_close(struct db *db, const char *why)
{
	struct db_queue lost = TAILQ_HEAD_INITIALIZER(lost);
	struct db_entry *e, *next;

	db_disconnect(db);
	db->resend_at = 0;
	db->renew = false;
	if (why != NULL) {
		db_connect_later(db);
	} else {
		db->state = DB_AWAY;
		db->deadline = clock_ms();
	}
	TAILQ_FOREACH_SAFE (e, &db->queue, link, next) {
		if (e->from_up || (e->executed && e->mode == DB_ONCE)) {
			TAILQ_REMOVE(&db->queue, e, link);
			TAILQ_INSERT_TAIL(&lost, e, link);
		}
		e->executed = false;
	}
	if (why != NULL)
		db_away(db, why);
	while ((e = TAILQ_FIRST(&lost)) != NULL) {
		TAILQ_REMOVE(&lost, e, link);
		db_finish(db, e, DB_LOST, NULL);
	}
}

void
db_lose(struct db *db, const char *why)
{
	char words[DB_WHY_MAX];

	strlcpy(words, db->fatal[0] != '\0' ? db->fatal : why, sizeof(words));
	db_close(db, words);
}

void
db_take_notice(void *arg, const PGresult *res)
{
	struct db *db = arg;
	const char *severity = PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);
	char message[DB_WHY_MAX];

	db_error_message(res, message, sizeof(message));
	if (severity != NULL && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0))
		strlcpy(db->fatal, message, sizeof(db->fatal));
	else
		log_debug("database: %s", message);
}

void
db_connected(struct db *db)
{
	db->state = DB_UP;
	db->deadline = 0;
	db->up_since = clock_ms();
	if (PQsetnonblocking(db->conn, 1) != 0) {
		db_lose(db, "the connection cannot be made non-blocking");
		return;
	}
	if (db->away && !db->events.quiet)
		log_info(
		    "database back after %.1f s", (double)(db->up_since - db->away_since) / 1000);
	db->away = false;
	db->news = true;
	if (db->events.up == NULL)
		return;
	db->in_up = true;
	db->events.up(db->events.arg);
	db->in_up = false;
	TAILQ_CONCAT(&db->front, &db->queue, link);
	TAILQ_CONCAT(&db->queue, &db->front, link);
}

static bool
run_up(struct db *db)
{
	char why[64];

	if (!db_receive(db))
		return true;
	if (db->phase != PHASE_IDLE && db->deadline != 0 && clock_ms() >= db->deadline) {
		snprintf(why, sizeof(why), "no answer from the server for %d s",
		    (int)(db->answer_timeout / 1000));
		db_lose(db, why);
		return false;
	}
	if (db->renew && db->pending == 0) {
		db_close(db, NULL);
		return true;
	}
	db_send(db);
	return false;
}

bool
db_run(struct db *db)
{
	bool changed = true;

	if (db->running)
		return false;
	db->running = true;
	db->news = false;
	while (changed) {
		switch (db->state) {
		case DB_AWAY:
			changed = clock_ms() >= db->deadline && db_connect_begin(db);
			break;
		case DB_RESOLVING:
			changed = db_connect_resolve(db);
			break;
		case DB_CONNECTING:
			changed = db_connect_poll(db);
			break;
		case DB_UP:
			changed = run_up(db);
			break;
		}
	}
	db->running = false;
	return db->news;
}
