/*
 * A database handle that never makes its caller wait: one connection, a queue of statements, callbacks.  Master and
 * worker each have their own, opened after fork; it is driven from the owner's poll().
 *
 * It connects by itself, again and again with backoff (100 ms doubling to 5 s, jittered), says once that the database is
 * away and once that it is back, prepares each statement on first use of a connection, and sends what is queued in order, as
 * much at once as libpq's pipeline mode allows if that is simple, one by one otherwise.  Host names are resolved without
 * blocking (getaddrinfo_a, result handed to libpq as hostaddr).
 *
 * A connection can die between sending a statement and its answer; then nobody knows whether it took effect.  Each
 * statement says which of two things happens: DB_REPEAT sends it again on the next connection (for statements that
 * are idempotent, as all that carry a claim are), DB_ONCE calls back with DB_LOST.
 *
 * The connection is given: application_name, client_encoding UTF8, connect_timeout 5 s (for each host and address of its
 * own), keepalives, tcp_user_timeout 15 s, target_session_attrs read-write, gssencmode disable, and a statement_timeout
 * of 10 s (with it, a server that is silent for 15 s counts as lost), where the conninfo does not set them.
 *
 * Memory that cannot be had ends the process with WORKER_EXIT_MEMORY.
 */
#ifndef COMMON_DB_H
#define COMMON_DB_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

struct db;

enum db_status {
	DB_OK,	  /* res holds tuples or a command status */
	DB_ERROR, /* the server refused the statement: db_error_*() */
	DB_LOST,  /* sent, unanswered, connection gone: DB_ONCE, and what up() submitted */
};

enum db_mode { DB_REPEAT, DB_ONCE };

/* What an SQLSTATE means for us. */
enum db_error {
	DB_ERR_NONE,
	DB_ERR_RETRY,	   /* serialization, deadlock, lock time-out, cancelled: the handle has sent it 6 times (twice if timed out) */
	DB_ERR_CONNECTION, /* class 08, 57P*, read-only server: the handle treats the connection as lost */
	DB_ERR_RESOURCES,  /* class 53: disk full, too many connections, out of memory */
	DB_ERR_ACCESS,	   /* class 28, 42501: authentication, permission */
	DB_ERR_SCHEMA,	   /* 42P01, 42703, 42883, 3F000: schema missing, too old or too new */
	DB_ERR_DATA,	   /* class 22, 23: the values, a constraint */
	DB_ERR_OTHER,
};

/* A statement, static storage; prepared under its name. */
struct db_stmt {
	const char *name;
	const char *sql;
	int nparams;
};

/*
 * The answer.  res belongs to the handle and is valid in the callback only; NULL with DB_LOST.  A DB_ERROR has not been
 * logged yet.  The callback may submit further statements; it must not free the handle.
 */
typedef void db_callback(void *arg, enum db_status status, PGresult *res);

struct db_events {
	/*
	 * (Re)connected, before anything queued is sent; may submit (goes to the front).  What is submitted here belongs
	 * to this connection: with it it ends, as DB_LOST in either mode, since the next up() will submit its own.
	 */
	void (*up)(void *arg);
	void (*down)(void *arg, const char *why); /* connection lost or refused: once an outage, already logged unless quiet */
	void (*notify)(void *arg, const char *channel, const char *payload);
	bool quiet; /* it stands beside another handle of its owner, whose word about outages is enough for the log */
	void *arg;
};

/* events may be NULL.  conninfo is copied.  Starts connecting at the first db_run().  Never fails. */
struct db *db_new(const char *conninfo, const char *application_name, const struct db_events *events);

/* Closes politely if idle, frees; queued callbacks are not called.  NULL is fine. */
void db_free(struct db *db);

/* For poll(): the descriptor (-1: none now), the events wanted, the next deadline on clock_ms() (0: none). */
int db_fd(const struct db *db);
short db_poll_events(const struct db *db);
int64_t db_deadline(const struct db *db);

/*
 * Does what can be done without waiting: connect, send, receive, call back.  Call after poll() and whenever the deadline passed.
 * Returns whether anything was called back: what follows from that is to be done before the next poll().
 */
bool db_run(struct db *db);

/*
 * Queues a statement with text parameters (NULL is SQL NULL); they are copied.  cb may be NULL (errors are then logged by
 * the handle).  Statements are sent in order of submission.
 */
void db_submit(struct db *db, const struct db_stmt *stmt, const char *const *params, enum db_mode mode, db_callback *cb,
    void *arg);

/* Statements queued or unanswered. */
int db_pending(const struct db *db);

/* Connected and in use.  Milliseconds of this connection's age, 0 if there is none. */
bool db_is_up(const struct db *db);
int64_t db_age(const struct db *db);

/* Drops the connection once nothing is pending and connects again (age, suspicion). */
void db_renew(struct db *db);

/* Class of a result's SQLSTATE, and its message on one line without trailing newline (into buf; returns buf). */
enum db_error db_error_class(const PGresult *res);
char *db_error_message(const PGresult *res, char *buf, size_t size);

/*
 * The schema version that this build needs, and the check at start (sent as an ordinary statement):
 * db_schema_verdict() takes what the callback got; it returns NULL if the version fits (or nothing is known: DB_LOST), else
 * a sentence that says what to run, in buf.
 */
#define DB_SCHEMA_VERSION 7
extern const struct db_stmt db_stmt_schema_version;
const char *db_schema_verdict(enum db_status status, const PGresult *res, char *buf, size_t size);

#endif
