/*
 * The handle: its life, what its owner asks of it, and its turn in the owner's loop.
 */
#include "common/db/private.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/memory.h"

struct db *
db_new(const char *conninfo, const char *application_name, const struct db_events *events)
{
	struct db *db = memory_alloc(sizeof(*db));

	TAILQ_INIT(&db->queue);
	TAILQ_INIT(&db->front);
	if (events != NULL)
		db->events = *events;
	db->application_name = memory_strdup(application_name);
	db_conninfo_init(db, conninfo);
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
	db_resolve_free(db->resolve);
	db_conninfo_release(db);
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
		return db_connect_events(db);
	if (db->state == DB_UP)
		return db->flushing ? POLLIN | POLLOUT : POLLIN;
	return 0;
}

/* Whether the connection can be closed now. */
static bool
may_park(const struct db *db)
{
	return db->parks && (db->state != DB_UP || db->phase == PHASE_IDLE || !db->ready);
}

int64_t
db_deadline(const struct db *db)
{
	if (may_park(db))
		return clock_ms();
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
	return db->state == DB_UP && db->ready;
}

bool
db_is_pooled(const struct db *db)
{
	return db_is_up(db) && db->pooled;
}

bool
db_outage(const struct db *db, struct db_outage *outage)
{
	if (!db->away)
		return false;
	*outage = (struct db_outage){
		.why = db->latest_why,
		.stays = db->latest_stays,
		.shared = db->latest_shared,
		.since = db->away_since,
	};
	return true;
}

int64_t
db_age(const struct db *db)
{
	return db_is_up(db) ? clock_ms() - db->up_since : 0;
}

void
db_renew(struct db *db)
{
	if (db->state == DB_UP)
		db->renew = true;
}

/*
 * Calls events.up() or submits what a connection needs first.  What is submitted meanwhile goes to
 * the front of the queue.
 */
static void
put_in_front(struct db *db, void (*submit)(void *arg), void *arg)
{
	db->in_up = true;
	submit(arg);
	db->in_up = false;
	TAILQ_CONCAT(&db->front, &db->queue, link);
	TAILQ_CONCAT(&db->queue, &db->front, link);
}

/* The session is set up: tells the owner. */
static void
ready(struct db *db)
{
	db->ready = true;
	db->up_since = clock_ms();
	if (db->away && !db->events.quiet)
		log_info(
		    "database back after %.1f s", (double)(db->up_since - db->away_since) / 1000);
	db->away = false;
	db->news = true;
	if (db->events.up != NULL)
		put_in_front(db, db->events.up, db->events.arg);
}

/* The first column of the answer. */
enum { BACKEND };

/* Without its settings a session is of no use.  A pooler gives its clients other numbers than the
 * server gives to it. */
static void
session_set(void *arg, enum db_status status, PGresult *res)
{
	struct db *db = arg;
	char why[DB_WHY_MAX], message[DB_WHY_MAX];

	if (status == DB_OK) {
		db->pooled =
		    strtol(PQgetvalue(res, 0, BACKEND), NULL, 10) != PQbackendPID(db->conn);
		ready(db);
	}
	if (status != DB_ERROR)
		return;
	snprintf(why, sizeof(why), "the session cannot be set up: %s",
	    db_error_message(res, message, sizeof(message)));
	db_lose(db, why);
}

void
db_park(struct db *db)
{
	db->parks = db->state != DB_PARKED;
}

bool
db_is_parked(const struct db *db)
{
	return db->state == DB_PARKED;
}

void
db_unpark(struct db *db)
{
	db->parks = false;
	if (db->state != DB_PARKED)
		return;
	db->state = DB_AWAY;
	db->deadline = clock_ms();
}

static void
submit_session(void *arg)
{
	struct db *db = arg;

	db_submit(db, db->session, NULL, DB_ONCE, session_set, db);
}

static void
connected(struct db *db)
{
	if (PQsetnonblocking(db->conn, 1) != 0) {
		db_lose(db, "the connection cannot be made non-blocking");
		return;
	}
	put_in_front(db, submit_session, db);
}

static void
say_silence(const struct db *db, char *why, size_t size)
{
	if (db->ready)
		snprintf(why, size, "no answer from the server for %d s",
		    (int)(db->answer_timeout / 1000));
	else
		snprintf(why, size,
		    "the server has taken the connection, and does not answer within %d s; a "
		    "pooler whose connections are all in use does so: raise its pool_size",
		    (int)(db->connect_timeout / 1000));
}

/* A turn of a connection that is up.  Returns whether there is more to do. */
static bool
run_up(struct db *db)
{
	char why[256];

	if (!db_receive(db))
		return true;
	if (db->phase != PHASE_IDLE && db->deadline != 0 && clock_ms() >= db->deadline) {
		say_silence(db, why, sizeof(why));
		db_lose(db, why);
		return false;
	}
	if (may_park(db)) {
		db_enter_parked(db);
		return false;
	}
	if (db->renew && db->pending == 0) {
		db_reconnect(db);
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
	if (db->state != DB_UP && may_park(db))
		db_enter_parked(db);
	while (changed) {
		switch (db->state) {
		case DB_PARKED:
			changed = false;
			break;
		case DB_AWAY:
			changed = clock_ms() >= db->deadline && db_connect_begin(db);
			break;
		case DB_RESOLVING:
			changed = db_connect_resolve(db);
			break;
		case DB_CONNECTING:
			changed = db_connect_poll(db);
			if (db->state == DB_UP)
				connected(db);
			break;
		case DB_UP:
			changed = run_up(db);
			break;
		}
	}
	db->running = false;
	return db->news;
}
