/*
 * What the files of the database handle share.  A file calls those in front of it:
 *
 *   session < error < mend < conninfo < passfile < resolve < connect < queue < statement < db
 */
#ifndef COMMON_DB_PRIVATE_H
#define COMMON_DB_PRIVATE_H

#include <stddef.h>
#include <sys/queue.h>

#include "common/db/db.h"
#include "common/db/refused.h"

#define DB_WHY_MAX 1024
#define DB_ADDRESSES_MAX 8
#define DB_ADDRESS_MAX 64 /* a numeric address with its scope */

enum db_state {
	DB_AWAY, /* the next round of hosts begins at deadline */
	DB_RESOLVING, /* a host name is being looked up; the next look is at deadline */
	DB_CONNECTING, /* given up at deadline */
	DB_PARKED, /* without a connection, until db_unpark() */
	DB_UP, /* connected; deadline is the time limit of the pending answer, 0: no limit */
};

/* Where the statement at the head of the queue stands. */
enum db_phase { PHASE_IDLE, PHASE_PREPARE, PHASE_EXECUTE };

/* A statement in the queue. */
struct db_entry {
	TAILQ_ENTRY(db_entry) link;
	const struct db_stmt *stmt;
	db_callback *cb;
	void *arg;
	enum db_mode mode;
	bool from_up; /* submitted by events.up(): ends with its connection */
	bool executed; /* sent to be executed, so it may have taken effect */
	int tries; /* refusals with DB_ERR_RETRY; a time-out counts as three */
	const char *params[]; /* stmt->nparams of them, with the strings behind */
};
TAILQ_HEAD(db_queue, db_entry);

/* One host of the conninfo.  NULL: libpq's default. */
struct db_host {
	char *host;
	char *hostaddr;
	char *port;
};

/* Numeric addresses of a host.  An empty one lets libpq decide. */
struct db_addresses {
	int n;
	char text[DB_ADDRESSES_MAX][DB_ADDRESS_MAX];
};

struct db {
	/* The connection.  Times are on clock_ms(). */
	enum db_state state;
	PGconn *conn; /* in DB_CONNECTING and DB_UP */
	int64_t deadline; /* see enum db_state */
	int64_t up_since;
	bool ready; /* in DB_UP: its session is set up */
	bool pooled; /* a pooler is in between */
	bool renew; /* close the connection once nothing is pending */
	bool parks; /* enter DB_PARKED once no statement is under way */
	char fatal[DB_WHY_MAX]; /* the server's last words on this connection */
	char warned[DB_WHY_MAX]; /* what a function of the schema warned of last */

	/* The owner. */
	struct db_events events;
	bool running; /* inside db_run() */
	bool in_up; /* inside events.up() */
	bool news; /* the owner was called since db_run() began */

	/* Statements. */
	struct db_queue queue;
	struct db_queue front; /* submitted by events.up(), while it runs */
	int pending;
	enum db_phase phase;
	PGresult *res; /* the last result of the statement in flight */
	bool flushing; /* libpq has more to write */
	int64_t resend_at; /* the head of the queue waits until then; 0: it does not wait */
	struct refused refusals; /* of statements without a callback */
	const struct db_stmt **prepared; /* on this connection */
	int nprepared;

	/* How to connect. */
	char *application_name;
	PQconninfoOption *options; /* NULL if the conninfo cannot be parsed */
	const struct db_stmt *session; /* the first statement of a connection */
	int64_t connect_timeout; /* ms, of one address, and of the first statement */
	int64_t answer_timeout; /* ms; 0: none */
	struct db_host *hosts;
	int nhosts;

	/* The attempt to connect. */
	int host; /* under trial */
	struct db_resolve *resolve; /* the look-up of its name, or NULL */
	int64_t resolve_deadline;
	struct db_addresses addresses; /* of that host */
	int address; /* under trial */
	PostgresPollingStatusType polling;
	int64_t delay; /* ms, the last pause between rounds */

	/* What this round of hosts has found. */
	char stays_why[DB_WHY_MAX]; /* the last refusal that only an administrator can end */
	bool host_stays; /* a server at this host has refused so */
	bool stays; /* each host so far has */

	/* The outage. */
	bool away; /* an outage was logged and has not ended */
	int64_t away_since;
	char away_why[DB_WHY_MAX]; /* as logged */
	bool said_still; /* a second reason was logged */
	char latest_why[DB_WHY_MAX]; /* of the latest attempt */
	bool latest_stays; /* see struct db_outage */
	bool latest_shared; /* likewise */
};

/* session.c */

/*
 * The first statement of every connection.  Each row of its answer begins with the pid of the
 * backend.  untimed: statements may take as long as the conninfo says.
 */
const struct db_stmt *db_session(bool untimed);

/* error.c */

/* Writes libpq's message of several lines as one line, without its hints (indented lines).  Returns
 * buf. */
char *db_one_line(const char *message, char *buf, size_t size);

/* mend.c */

/*
 * Appends to the reason in why what would mend it, if that is known.  Returns whether only an
 * administrator can end it.
 */
bool db_mend(char *why, size_t why_size);

/* Likewise, with libpq's reason for a connection that failed, which was verbose (PQERRORS_VERBOSE).
 */
bool db_mend_refused(PGconn *conn, char *why, size_t why_size);

/* resolve.c */

enum db_resolve_state { RESOLVE_WAITS, RESOLVE_FOUND, RESOLVE_FAILED };

/* NULL if the look-up cannot be started. */
struct db_resolve *db_resolve_start(const char *host);

/* Fills in *found with RESOLVE_FOUND, and why with RESOLVE_FAILED. */
enum db_resolve_state db_resolve_poll(
    struct db_resolve *r, struct db_addresses *found, char *why, size_t why_size);

/* At any time.  NULL is fine. */
void db_resolve_free(struct db_resolve *r);

/* conninfo.c */

void db_conninfo_init(struct db *db, const char *conninfo);
void db_conninfo_release(struct db *db);

/* The value of keyword in the conninfo, else in the environment, else NULL. */
const char *db_conninfo_value(const struct db *db, const char *keyword);

/* passfile.c */

/* Adds to why that the password file cannot serve, if that is so and no password is given. */
void db_passfile_explain(const struct db *db, char *why, size_t size);

/* connect.c */

/* One step each, in DB_AWAY, DB_RESOLVING and DB_CONNECTING.  Returns whether the state changed. */
bool db_connect_begin(struct db *db);
bool db_connect_resolve(struct db *db);
bool db_connect_poll(struct db *db);

/* The events to poll for in DB_CONNECTING. */
short db_connect_events(const struct db *db);

/* Enters DB_AWAY.  The pause is longer than the last one. */
void db_connect_later(struct db *db);

void db_disconnect(struct db *db);

/*
 * Logs the outage and tells the owner, once an outage.  Later calls log one more reason.  stays:
 * see struct db_outage.
 */
void db_away(struct db *db, const char *why, bool stays);

/* queue.c */

/* Ends e, which has left its queue: calls back, clears res, frees e. */
void db_finish(struct db *db, struct db_entry *e, enum db_status status, PGresult *res);

/* Closes a connection that failed.  The server's last words, if any, are logged instead of why. */
void db_lose(struct db *db, const char *why);

/* Closes a connection that a pooler gives to others, too. */
void db_lose_shared(struct db *db);

/* Closes a good connection, to connect again at once. */
void db_reconnect(struct db *db);

/* Closes the connection, or gives up the attempt to make one, and enters DB_PARKED. */
void db_enter_parked(struct db *db);

/* statement.c, in DB_UP */

/* Whether the head of the queue can be sent, its resend_at apart. */
bool db_may_send(const struct db *db);

/* Sends the head of the queue if it may go, and the rest of what libpq has to write. */
void db_send(struct db *db);

/* Reads and hands out what has arrived.  Returns false if the connection is gone. */
bool db_receive(struct db *db);

#endif
