#include <string.h>

#include "common/base/clock.h"
#include "common/db/params.h"
#include "master/exporter/exporter.h"
#include "master/exporter/questions.h"

#define ASK_EVERY_MS 5000 /* at most */
#define SHARE 50 /* asking takes at most this part of the time */

/* The lock was that of the session. */
static void
forget(void *arg)
{
	struct answers *a = arg;

	a->has_lock = a->speaks = a->whole = false;
	a->nlive = a->nended = 0;
	a->counted_until[0] = '\0';
}

static void
on_down(void *arg, const char *why)
{
	(void)why;
	forget(arg);
}

/* An answer has come.  After the last one, the round is over. */
static void
close_question(struct answers *a, enum db_status status)
{
	int64_t now = clock_ms(), took = now - a->asked_at;

	a->failed |= status != DB_OK;
	if (--a->pending > 0)
		return;
	a->whole |= a->speaks && !a->failed;
	a->ask_at = now + (took * SHARE > ASK_EVERY_MS ? took * SHARE : ASK_EVERY_MS);
}

static void
live(void *arg, enum db_status status, PGresult *res)
{
	if (status == DB_OK)
		take_live(arg, res);
	close_question(arg, status);
}

static void
ended(void *arg, enum db_status status, PGresult *res)
{
	if (status == DB_OK)
		take_ended(arg, res);
	close_question(arg, status);
}

static void
database(void *arg, enum db_status status, PGresult *res)
{
	if (status == DB_OK)
		take_database(arg, res);
	close_question(arg, status);
}

static void
ask(struct answers *a)
{
	struct params p = { .n = 0 };

	params_text(&p, a->counted_until[0] != '\0' ? a->counted_until : NULL);
	a->pending += 3;
	db_submit(a->db, &question_live, NULL, DB_ONCE, live, a);
	db_submit(a->db, &question_ended, p.values, DB_ONCE, ended, a);
	db_submit(a->db, &question_database, NULL, DB_ONCE, database, a);
}

static void
locked(void *arg, enum db_status status, PGresult *res)
{
	struct answers *a = arg;

	bool spoke = a->speaks;

	if (status == DB_OK) {
		a->has_lock = PQgetvalue(res, 0, LOCK_TAKEN)[0] == 't';
		a->speaks = a->has_lock || PQgetvalue(res, 0, LOCK_IS_FOREIGN)[0] == 't';
	}
	if (spoke && !a->speaks)
		forget(a);
	if (a->speaks)
		ask(a);
	close_question(a, status);
}

void
answers_open(struct answers *a, const char *conninfo)
{
	/* ferryd logs outages of the same database */
	struct db_events events = { .up = forget, .down = on_down, .quiet = true, .arg = a };

	a->db = db_new(conninfo, "ferry-exporter", &events);
	a->ask_at = clock_ms();
}

int64_t
answers_deadline(const struct answers *a)
{
	return db_is_up(a->db) && a->pending == 0 ? a->ask_at : 0;
}

void
answers_run(struct answers *a)
{
	int64_t at = answers_deadline(a);

	if (at == 0 || at > clock_ms())
		return;
	a->asked_at = clock_ms();
	a->failed = false;
	if (a->has_lock) {
		ask(a);
		return;
	}
	a->pending = 1;
	db_submit(a->db, &question_lock, NULL, DB_ONCE, locked, a);
}
