/*
 * The statement in flight and its answer.
 *
 * One statement at a time is on its way, which keeps order, repetition and refusal simple.  The
 * head of the queue is prepared if this connection has not prepared it, then executed.  It leaves
 * the queue when its answer is complete, which is when libpq has no further result: a commit can
 * still fail after the command's status.
 */
#include "common/db/private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/memory.h"

#define TRIES_MAX 6 /* of a statement that is refused with DB_ERR_RETRY */
#define RETRY_DELAY_MS 20 /* before the second try; doubles */

/* SQLSTATEs of a refused statement. */
#define STATE_UNKNOWN_STATEMENT "26000"
#define STATE_KNOWN_STATEMENT "42P05"
#define STATE_CACHED_PLAN "0A000" /* the answer's shape changed with the schema */
#define STATE_CANCELLED "57014" /* statement_timeout, or an administrator */

bool
db_may_send(const struct db *db)
{
	return db->phase == PHASE_IDLE && !TAILQ_EMPTY(&db->queue);
}

static bool
is_prepared(const struct db *db, const struct db_stmt *stmt)
{
	int i;

	for (i = 0; i < db->nprepared; i++)
		if (db->prepared[i] == stmt)
			return true;
	return false;
}

static void
set_prepared(struct db *db, const struct db_stmt *stmt)
{
	db->prepared = memory_array(db->prepared, (size_t)db->nprepared + 1, sizeof(*db->prepared));
	db->prepared[db->nprepared++] = stmt;
}

/* The first statement is a part of connecting. */
static void
set_deadline(struct db *db)
{
	int64_t timeout = db->ready ? db->answer_timeout : db->connect_timeout;

	db->deadline = timeout != 0 ? clock_ms() + timeout : 0;
}

void
db_send(struct db *db)
{
	struct db_entry *e = TAILQ_FIRST(&db->queue);
	char why[DB_WHY_MAX];
	int sent, flushed;

	if (db_may_send(db) && clock_ms() >= db->resend_at) {
		db->resend_at = 0;
		if (is_prepared(db, e->stmt)) {
			sent = PQsendQueryPrepared(
			    db->conn, e->stmt->name, e->stmt->nparams, e->params, NULL, NULL, 0);
			e->executed = true;
			db->phase = PHASE_EXECUTE;
		} else {
			sent = PQsendPrepare(db->conn, e->stmt->name, e->stmt->sql, 0, NULL);
			db->phase = PHASE_PREPARE;
		}
		if (sent != 1) {
			db_lose(db, db_one_line(PQerrorMessage(db->conn), why, sizeof(why)));
			return;
		}
		set_deadline(db);
	}
	flushed = PQflush(db->conn);
	if (flushed == -1)
		db_lose(db, db_one_line(PQerrorMessage(db->conn), why, sizeof(why)));
	else
		db->flushing = flushed == 1;
}

/*
 * Whether the server process is another one than before.  It lacks a statement that this connection
 * has prepared, or already has one that this connection is preparing.  Only a pooler does that.
 */
static bool
is_shared(const PGresult *res, enum db_phase phase)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

	return state != NULL && strcmp(state, phase == PHASE_EXECUTE ? STATE_UNKNOWN_STATEMENT
								     : STATE_KNOWN_STATEMENT) == 0;
}

/*
 * Whether a refused statement is sent again, which either mode allows since it has changed nothing.
 * It is after a collision, and when the prepared statement is stale.  A new connection mends that.
 */
static bool
goes_again(struct db *db, struct db_entry *e, const PGresult *res, enum db_phase phase)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	bool stale =
	    phase == PHASE_EXECUTE && state != NULL && strcmp(state, STATE_CACHED_PLAN) == 0;

	if (!stale && db_error_class(res) != DB_ERR_RETRY)
		return false;
	/* A time-out holds up the queue: after a third one a lease could be lost. */
	e->tries += state != NULL && strcmp(state, STATE_CANCELLED) == 0 ? TRIES_MAX / 2 : 1;
	if (e->tries >= TRIES_MAX)
		return false;
	e->executed = false;
	if (stale) {
		db_reconnect(db);
		return true;
	}
	db->resend_at =
	    clock_ms() + (RETRY_DELAY_MS << (e->tries - 1)) + arc4random_uniform(RETRY_DELAY_MS);
	return true;
}

/* Ends the statement in flight, whose answer is complete.  The last result counts, since an error
 * may follow a status. */
static void
take_answer(struct db *db)
{
	struct db_entry *e = TAILQ_FIRST(&db->queue);
	enum db_phase phase = db->phase;
	PGresult *res = db->res;
	bool refused = db_error_class(res) != DB_ERR_NONE;

	db->res = NULL;
	db->phase = PHASE_IDLE;
	db->deadline = 0;
	if (refused && is_shared(res, phase)) {
		PQclear(res);
		e->executed = false;
		db_lose_shared(db);
		return;
	}
	if (refused && goes_again(db, e, res, phase)) {
		PQclear(res);
		return;
	}
	if (!refused && phase == PHASE_PREPARE) {
		set_prepared(db, e->stmt);
		PQclear(res);
		return;
	}
	TAILQ_REMOVE(&db->queue, e, link);
	db_finish(db, e, refused ? DB_ERROR : DB_OK, res);
}

/* Takes the results that have arrived.  Returns false if the connection is lost. */
static bool
take_results(struct db *db)
{
	char why[DB_WHY_MAX];
	PGresult *res;

	while (db->phase != PHASE_IDLE && !PQisBusy(db->conn)) {
		res = PQgetResult(db->conn);
		if (res == NULL) {
			take_answer(db);
			return db->state == DB_UP;
		}
		if (db_error_class(res) == DB_ERR_CONNECTION) {
			db_error_message(res, why, sizeof(why));
			PQclear(res);
			db_lose(db, why);
			return false;
		}
		PQclear(db->res);
		db->res = res;
	}
	return true;
}

bool
db_receive(struct db *db)
{
	char why[DB_WHY_MAX];
	bool broken = false;
	PGnotify *note;
	int i;

	/* With TLS, the library may hold a record although the socket is empty. */
	for (i = 0; i < (PQsslInUse(db->conn) ? 3 : 1) && !broken; i++)
		broken = PQconsumeInput(db->conn) == 0;
	if (!take_results(db))
		return false;
	while ((note = PQnotifies(db->conn)) != NULL) {
		db->news = true;
		if (db->events.notify != NULL)
			db->events.notify(db->events.arg, note->relname, note->extra);
		PQfreemem(note);
	}
	if (broken || PQstatus(db->conn) == CONNECTION_BAD) {
		db_lose(db, db_one_line(PQerrorMessage(db->conn), why, sizeof(why)));
		return false;
	}
	return true;
}
