/*
 * What the files of the database handle share.  db.c owns the queue, db_statement.c the statement in flight,
 * db_connect.c the way from "away" to "up", db_resolve.c host names, db_error.c what errors mean.
 */
#ifndef COMMON_DB_INTERNAL_H
#define COMMON_DB_INTERNAL_H

#include <stddef.h>
#include <sys/queue.h>

#include "common/db.h"

#define DB_WHY_MAX 512
#define DB_ADDRESSES_MAX 8
#define DB_ADDRESS_MAX 64 /* a numeric address with its scope */

enum db_state {
	DB_AWAY,      /* waiting to try again at deadline */
	DB_RESOLVING, /* a host name is being looked up; looked after at deadline */
	DB_CONNECTING, /* given up at deadline */
	DB_UP,
};

/* The statement at the head of the queue goes through these. */
enum db_phase { PHASE_IDLE, PHASE_PREPARE, PHASE_EXECUTE };

struct db_entry {
	TAILQ_ENTRY(db_entry) link;
	const struct db_stmt *stmt;
	db_callback *cb;
	void *arg;
	enum db_mode mode;
	bool from_up;	/* of this connection only */
	bool executed;	/* sent to be executed, so it may have taken effect */
	int tries;	/* refused with DB_ERR_RETRY so often */
	const char *params[]; /* stmt->nparams of them, the strings behind */
};
TAILQ_HEAD(db_queue, db_entry);

/* One host of the conninfo.  NULL: libpq's default. */
struct db_host {
	char *host;
	char *hostaddr;
	char *port;
};

struct db {
	enum db_state state;
	PGconn *conn; /* in DB_CONNECTING and DB_UP */
	int64_t deadline; /* DB_UP: of the answer in flight; 0: none */
	struct db_events events;
	bool running; /* inside db_run() */
	bool in_up;   /* inside events.up() */
	bool news;    /* somebody was called since db_run() began */
	bool renew;
	int64_t up_since;

	struct db_queue queue;
	struct db_queue front; /* what events.up() submits, while it does */
	int pending;
	enum db_phase phase;
	PGresult *res;	   /* last result of the statement in flight */
	bool flushing;	   /* libpq has more to write */
	int64_t resend_at; /* the head of the queue waits until then; 0: it does not */
	const struct db_stmt **prepared; /* on this connection */
	int nprepared;

	char *application_name;
	PQconninfoOption *options; /* NULL if the conninfo cannot be parsed */
	char *server_options;	   /* command-line options for the backend */
	int64_t connect_timeout;
	int64_t answer_timeout; /* 0: none */
	struct db_host *hosts;
	int nhosts;
	int host; /* being tried */
	struct db_resolve *resolve;
	int64_t resolve_deadline;
	char addresses[DB_ADDRESSES_MAX][DB_ADDRESS_MAX]; /* of that host; "" lets libpq decide */
	int naddresses;
	int address; /* being tried */
	PostgresPollingStatusType polling;
	int64_t delay; /* backoff of the last round */

	bool away; /* an outage was logged */
	int64_t away_since;
	char away_why[DB_WHY_MAX]; /* as logged */
	bool said_still; /* that it is away for another reason by now */
	char fatal[DB_WHY_MAX]; /* the server's last words on this connection */
};

/* db.c.  Allocates or ends the process, with the code that says so: a lost statement would be worse. */
void *db_alloc(size_t size);
char *db_strdup(const char *s);

/* db.c.  The connection is up: tells the owner and lets him submit first. */
void db_connected(struct db *db);

/* db.c.  Takes e, already out of its queue, to its end: calls back, clears res, frees e. */
void db_finish(struct db *db, struct db_entry *e, enum db_status status, PGresult *res);

/*
 * db.c.  db_close() closes the connection, for a fault or (why is NULL) for a new one at once; what cannot be sent again
 * is called back after everything else is in order.  db_lose() does it for a fault, and takes the server's own last
 * words instead of why where there are any.
 */
void db_close(struct db *db, const char *why);
void db_lose(struct db *db, const char *why);

/*
 * db_statement.c, in DB_UP.  db_send() sends the head of the queue if it may go, or the first half of it.  db_receive()
 * reads what has arrived and hands it out; it returns false if the connection is there no longer.
 */
bool db_may_send(const struct db *db);
void db_send(struct db *db);
bool db_receive(struct db *db);

/* db.c.  What the server says outside of an answer; its last words before it hangs up are kept. */
void db_take_notice(void *arg, const PGresult *res);

/* db_connect.c */
void db_connect_init(struct db *db, const char *conninfo);
void db_connect_release(struct db *db);
bool db_connect_begin(struct db *db); /* first host; the three return whether the state changed */
bool db_connect_resolve(struct db *db);
bool db_connect_poll(struct db *db);
void db_connect_later(struct db *db); /* enters DB_AWAY, with the next backoff */
void db_disconnect(struct db *db);
void db_away(struct db *db, const char *why); /* logs and tells, once an outage; logs one later reason */

/*
 * db_resolve.c.  start: NULL if it could not even be started.  poll: 0 while it is under way, 1 when addresses were
 * found (at most max, numeric, in out; *n of them), -1 with a sentence in why.  free may be called at any time.
 */
struct db_resolve *db_resolve_start(const char *host);
int db_resolve_poll(struct db_resolve *r, char out[][DB_ADDRESS_MAX], int max, int *n, char *why, size_t why_size);
void db_resolve_free(struct db_resolve *r);

/* db_error.c.  libpq's message of many lines as one, its hints (indented lines) left out.  Returns buf. */
char *db_one_line(const char *message, char *buf, size_t size);

#endif
