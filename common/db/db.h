/*
 * A database handle that never makes its caller wait: one connection, a queue of statements,
 * callbacks.  Its owner drives it from poll().  Master and workers each have their own.
 *
 * The handle connects by itself, again and again, with a pause that doubles from 100 ms to 5 s.  It
 * logs one line when an outage begins and one when it ends.  It prepares a statement on its first
 * use of a connection, and sends the statements of the queue in order, one by one.
 *
 * A connection can die between a statement and its answer, so that nobody knows whether the
 * statement took effect.  DB_REPEAT sends it again on the next connection, for statements that are
 * idempotent, as all that carry a claim are.  DB_ONCE calls back with DB_LOST.
 *
 * Before anything else a connection gets the settings of common/db/session.c.
 *
 * Where the conninfo does not set them, the connection has: application_name, client_encoding UTF8,
 * connect_timeout 5 s for each address, keepalives, tcp_user_timeout 15 s, target_session_attrs
 * read-write, gssencmode disable, and statement_timeout 10 s.  With that time-out, a server that is
 * silent for 15 s counts as lost.
 *
 * A pooler may be in between if each connection keeps its server, as it does in PgBouncer's
 * pool_mode session.
 *
 * A process that gets no memory here exits: common/base/memory.h.
 */
#ifndef COMMON_DB_DB_H
#define COMMON_DB_DB_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

struct db;

enum db_status {
	DB_OK, /* res holds rows or a command status */
	DB_ERROR, /* the server refused the statement: see db_error_class() */
	DB_LOST, /* the connection went before the answer: DB_ONCE, or submitted in up() */
};

enum db_mode { DB_REPEAT, DB_ONCE };

/* The meaning of an SQLSTATE. */
enum db_error {
	DB_ERR_NONE,
	/* Collision, lock time-out or cancelled: the handle has tried 6 times, or twice if it timed
	 * out. */
	DB_ERR_RETRY,
	DB_ERR_CONNECTION, /* broken, shut down or read-only: the handle connects again */
	DB_ERR_RESOURCES, /* disk full, too many connections, out of memory */
	DB_ERR_ACCESS, /* authentication, permission */
	DB_ERR_SCHEMA, /* missing, too old or too new */
	DB_ERR_DATA, /* a value or a constraint */
	DB_ERR_OTHER,
};

/* A statement in static storage, prepared under its name. */
struct db_stmt {
	const char *name;
	const char *sql;
	int nparams;
};

/*
 * Takes the answer.  res is valid in the callback only, and NULL with DB_LOST.  A DB_ERROR has not
 * been logged.  The callback may submit statements, but must not free the handle.
 */
typedef void db_callback(void *arg, enum db_status status, PGresult *res);

struct db_events {
	/*
	 * The handle has connected and set up its session.  Statements submitted in this call are
	 * sent before the queue.  They belong to this connection: if it goes they end with DB_LOST,
	 * in either mode, since the next up() submits its own.
	 */
	void (*up)(void *arg);
	/*
	 * The connection was lost or refused.  Called once an outage, which is logged already.  One
	 * that was cut while nothing was pending is made anew at once, and is not logged.
	 */
	void (*down)(void *arg, const char *why);
	void (*notify)(void *arg, const char *channel, const char *payload);
	bool quiet; /* outages are not logged: another handle of the owner logs them */
	void *arg;
};

/* Connects from the first db_run() on.  conninfo is copied; events may be NULL.  Never fails. */
struct db *db_new(
    const char *conninfo, const char *application_name, const struct db_events *events);

/* Closes and frees.  The callbacks of queued statements are not called.  NULL is fine. */
void db_free(struct db *db);

/* For poll(): the descriptor, or -1 for none. */
int db_fd(const struct db *db);
short db_poll_events(const struct db *db);

/* For poll(): when to call db_run() next, on clock_ms(); 0: not by the clock. */
int64_t db_deadline(const struct db *db);

/*
 * Does what can be done without waiting: connects, sends, receives, calls back.  Call this after
 * poll(), and when the deadline has passed.  Returns whether it called back, so that the owner acts
 * on that before the next poll().
 */
bool db_run(struct db *db);

/*
 * Queues a statement.  Its parameters are texts, or NULL for SQL's NULL, and are copied.  If cb is
 * NULL, the handle logs errors.
 *
 * Six parameters: one statement, its parameters and its answer are always given together.
 */
void db_submit(struct db *db, const struct db_stmt *stmt, const char *const *params,
    enum db_mode mode, db_callback *cb, void *arg);

/* Statements queued or unanswered. */
int db_pending(const struct db *db);

/* Whether statements are answered. */
bool db_is_up(const struct db *db);

/* Whether it is up, and a pooler is in between. */
bool db_is_pooled(const struct db *db);

/* The reason why a connection is of no use that a pooler gives to others, and what mends that. */
extern const char db_shared_why[];

/* Why there is no connection. */
struct db_outage {
	const char *why; /* of the latest attempt, with what would mend it; valid until db_run() */
	bool stays; /* every host refuses, and only an administrator can end that */
	bool shared; /* a pooler gives the connection to others: db_shared_why */
	int64_t since; /* on clock_ms() */
};

/* Fills in *outage.  Returns false if there is a connection, or if the first attempt lasts. */
bool db_outage(const struct db *db, struct db_outage *outage);

/* The connection's age in milliseconds, 0 without a connection. */
int64_t db_age(const struct db *db);

/* Makes a new connection once nothing is pending. */
void db_renew(struct db *db);

/*
 * Closes the connection as soon as no statement is under way, and makes no other: statements wait
 * in the queue until db_unpark().  The owner is not told of this end.
 */
void db_park(struct db *db);
bool db_is_parked(const struct db *db);
void db_unpark(struct db *db);

/* Takes all statements out of the queue that are not under way.  They end with DB_LOST. */
void db_drop(struct db *db);

enum db_error db_error_class(const PGresult *res);

/* The error's message on one line, without newline.  Returns buf. */
char *db_error_message(const PGresult *res, char *buf, size_t size);

/* Likewise, and behind it the function of the database's users, of a trigger for example, that has
 * raised the error, if there is one. */
char *db_error_origin(const PGresult *res, char *buf, size_t size);

/*
 * One statement that states what every session here relies on (see session.c), except the time
 * zone, which people like to have their own.  Every handle sends its like before all others.
 */
extern const char db_session_for_people[];

/* The schema version that this build was made for.  This build also works with a newer schema
 * whose compatible_from is at most this number. */
#define DB_SCHEMA_VERSION 16

/* Asks for the schema's version. */
extern const struct db_stmt db_stmt_schema_version;

/* The version in an answer to db_stmt_schema_version; 0 if there is none. */
int db_schema_version(const PGresult *res);

/*
 * Judges the answer to db_stmt_schema_version.  Returns NULL if the version fits and no policy
 * hides rows, or if the answer was lost, else a sentence in buf that says what to do.
 */
const char *db_schema_verdict(enum db_status status, const PGresult *res, char *buf, size_t size);

#endif
