/*
 * The statement in flight and what comes back.
 *
 * One statement at a time is on its way, so that order, repetition and refusal are simple: the head
 * of the queue is prepared if this connection does not know it, executed, and leaves when its
 * answer is complete.  An answer is complete only when libpq has nothing more (the server is ready
 * again): the commit may still fail after the command's status.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/channel.h"
#include "common/clock.h"
#include "common/db_internal.h"
#include "common/log.h"

#define TRIES_MAX 6 /* of a statement that is refused with DB_ERR_RETRY */
#define RETRY_DELAY 20 /* before the second; doubles */

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
	const struct db_stmt **p;

	p = reallocarray(db->prepared, (size_t)db->nprepared + 1, sizeof(*p));
	if (p == NULL)
		fatal(WORKER_EXIT_MEMORY, "out of memory in the database handle");
	db->prepared = p;
	db->prepared[db->nprepared++] = stmt;
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
		db->deadline = db->answer_timeout != 0 ? clock_ms() + db->answer_timeout : 0;
	}
	flushed = PQflush(db->conn);
	if (flushed == -1)
		db_lose(db, db_one_line(PQerrorMessage(db->conn), why, sizeof(why)));
	else
		db->flushing = flushed == 1;
}

/*
 * A refused statement has changed nothing, so it may go again, in either mode.  Returns whether it
 * does: after a collision, or when the server no longer knows what was prepared (a pooler in
 * between) or would answer in another shape (the schema was upgraded), which a new connection
 * mends.
 */
static bool
goes_again(struct db *db, struct db_entry *e, const PGresult *res, enum db_phase phase)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	bool stale = phase == PHASE_EXECUTE && state != NULL &&
		     (strcmp(state, "26000") == 0 || strcmp(state, "0A000") == 0);

	if (!stale && db_error_class(res) != DB_ERR_RETRY)
		return false;
	/* A time-out has held up the queue for so long already that a third could cost a lease. */
	e->tries += state != NULL && strcmp(state, "57014") == 0 ? TRIES_MAX / 2 : 1;
	if (e->tries >= TRIES_MAX)
		return false;
	e->executed = false;
	if (stale) {
		db_close(db, NULL);
		return true;
	}
	db->resend_at =
	    clock_ms() + (RETRY_DELAY << (e->tries - 1)) + arc4random_uniform(RETRY_DELAY);
	return true;
}

/* The answer to the statement in flight is complete: its last result counts, as an error may follow
 * a status. */
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

/* Takes the results that are there.  Returns false if one of them says that the connection is going
 * away. */
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

	/* With TLS, a record can be left inside the library after the socket has been emptied. */
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
