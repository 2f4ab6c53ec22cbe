/*
 * The queue of statements, and the fate of its statements when the connection goes.
 */
#include "common/db/private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/memory.h"

#define CUT_AGE_MS 2000 /* a connection that is cut at once is a fault */

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
	e = memory_alloc(size);
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

/* The owner does not ask how this statement ends. */
static void
note_end(struct db *db, const struct db_stmt *stmt, enum db_status status, const PGresult *res)
{
	char message[DB_WHY_MAX], work[64];
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

	snprintf(work, sizeof(work), "statement %s", stmt->name);
	if (status == DB_OK) {
		refused_relieve(&db->refusals, work);
		return;
	}
	refused_run(&db->refusals);
	refused_add(&db->refusals, work, state != NULL ? state : "no SQLSTATE",
	    db_error_message(res, message, sizeof(message)), "it is not sent again");
}

void
db_finish(struct db *db, struct db_entry *e, enum db_status status, PGresult *res)
{
	db->pending--;
	db->news |= e->stmt != db->session; /* that one is the handle's own */
	if (e->cb != NULL)
		e->cb(e->arg, status, res);
	else if (status != DB_LOST)
		note_end(db, e->stmt, status, res);
	else if (!e->from_up)
		log_warn("statement %s: sent, but the connection was lost before its answer",
		    e->stmt->name);
	PQclear(res);
	free(e);
}

/* Takes the statements out of the queue that end with the connection. */
static void
take_lost(struct db *db, struct db_queue *lost)
{
	struct db_entry *e, *next;

	TAILQ_FOREACH_SAFE (e, &db->queue, link, next) {
		if (e->from_up || (e->executed && e->mode == DB_ONCE)) {
			TAILQ_REMOVE(&db->queue, e, link);
			TAILQ_INSERT_TAIL(lost, e, link);
		}
		e->executed = false;
	}
}

/* Closes the connection; why is NULL if that is no fault.  The callbacks of lost statements come
 * last, when everything else is in order.  stays: see struct db_outage. */
static void
close_connection(struct db *db, const char *why, bool stays)
{
	struct db_queue lost = TAILQ_HEAD_INITIALIZER(lost);
	struct db_entry *e;

	db_disconnect(db);
	db->resend_at = 0;
	db->renew = false;
	if (why != NULL) {
		db_connect_later(db);
	} else {
		db->state = DB_AWAY;
		db->deadline = clock_ms();
	}
	take_lost(db, &lost);
	if (why != NULL)
		db_away(db, why, stays);
	while ((e = TAILQ_FIRST(&lost)) != NULL) {
		TAILQ_REMOVE(&lost, e, link);
		db_finish(db, e, DB_LOST, NULL);
	}
}

void
db_reconnect(struct db *db)
{
	close_connection(db, NULL, false);
}

void
db_enter_parked(struct db *db)
{
	close_connection(db, NULL, false);
	db_resolve_free(db->resolve);
	db->resolve = NULL;
	db->state = DB_PARKED;
	db->deadline = 0;
	db->parks = db->away = false;
}

void
db_drop(struct db *db)
{
	struct db_queue dropped = TAILQ_HEAD_INITIALIZER(dropped);
	struct db_entry *e, *next;

	TAILQ_FOREACH_SAFE (e, &db->queue, link, next) {
		if (e->from_up || (db->phase != PHASE_IDLE && e == TAILQ_FIRST(&db->queue)))
			continue;
		TAILQ_REMOVE(&db->queue, e, link);
		TAILQ_INSERT_TAIL(&dropped, e, link);
	}
	while ((e = TAILQ_FIRST(&dropped)) != NULL) {
		TAILQ_REMOVE(&dropped, e, link);
		db_finish(db, e, DB_LOST, NULL);
	}
}

/*
 * Whether an idle connection was closed without an error message of the server.  Either a proxy
 * closed it, or the server is gone.  The next attempt to connect tells which.
 */
static bool
is_cut(const struct db *db)
{
	return db->ready && db->pending == 0 && db->fatal[0] == '\0' &&
	       clock_ms() - db->up_since >= CUT_AGE_MS;
}

void
db_lose(struct db *db, const char *why)
{
	char words[DB_WHY_MAX];

	if (is_cut(db)) {
		log_debug("database: an idle connection was cut: %s", why);
		db->news = true;
		close_connection(db, NULL, false);
		if (db->events.down != NULL)
			db->events.down(db->events.arg, why);
		return;
	}
	strlcpy(words, db->fatal[0] != '\0' ? db->fatal : why, sizeof(words));
	close_connection(db, words, false);
}

void
db_lose_shared(struct db *db)
{
	close_connection(db, db_shared_why, true);
}
