/*
 * The way from "away" to "up".  The hosts of the conninfo are tried in turn, each of their
 * addresses with a deadline of its own.  The pause between two rounds doubles from 100 ms to 5 s.
 *
 * libpq always gets a single host.  It can go through a list of hosts itself, but a caller that
 * polls it gets no time-outs, so that a host that swallows packets would block the next.
 */
#include "common/db/private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"

#define DELAY_MIN_MS 100
#define DELAY_MAX_MS 5000
#define GOOD_AGE_MS 2000 /* after so long the next pause is the shortest again */
#define RESOLVE_INTERVAL_MS 10
#define RESOLVE_TIMEOUT_MS 10000
#define STILL_AWAY_MS 3000 /* until then a new reason is not logged */
#define OPTIONS_MAX 96
#define NO_REASON "libpq gives no reason"

/* Options of a connection in the form that libpq takes. */
struct options {
	const char *keywords[OPTIONS_MAX];
	const char *values[OPTIONS_MAX];
	int n;
};

/* Used where neither the conninfo nor the environment sets them. */
static const struct {
	const char *keyword;
	const char *value;
} defaults[] = {
	{ "client_encoding", "UTF8" },
	{ "connect_timeout", "5" },
	{ "keepalives", "1" },
	{ "keepalives_idle", "10" },
	{ "keepalives_interval", "5" },
	{ "keepalives_count", "3" },
	{ "tcp_user_timeout", "15000" },
	/* After a failover, keeps away from the old primary. */
	{ "target_session_attrs", "read-write" },
	/* GSSAPI would block while it looks for a ticket. */
	{ "gssencmode", "disable" },
};

/* Logs one later reason of an outage.  The first reason often only says how the connection ended,
 * not why no other can be made. */
static void
log_still_away(struct db *db, const char *why)
{
	if (db->events.quiet || db->said_still || clock_ms() - db->away_since < STILL_AWAY_MS ||
	    strcmp(why, db->away_why) == 0)
		return;
	db->said_still = true;
	log_warn("database still away: %s", why);
}

void
db_away(struct db *db, const char *why, bool stays)
{
	if (why[0] == '\0')
		why = NO_REASON;
	strlcpy(db->latest_why, why, sizeof(db->latest_why));
	db->latest_stays = stays;
	db->latest_shared = why == db_shared_why;
	if (db->away) {
		log_still_away(db, why);
		return;
	}
	db->away = true;
	db->said_still = false;
	db->news = true;
	db->away_since = clock_ms();
	strlcpy(db->away_why, why, sizeof(db->away_why));
	if (!db->events.quiet)
		log_warn("database away: %s", why);
	if (db->events.down != NULL)
		db->events.down(db->events.arg, why);
}

void
db_disconnect(struct db *db)
{
	PQclear(db->res);
	db->res = NULL;
	PQfinish(db->conn);
	db->conn = NULL;
	db->phase = PHASE_IDLE;
	db->flushing = false;
	db->nprepared = 0;
	db->fatal[0] = '\0';
	db->ready = false;
}

void
db_connect_later(struct db *db)
{
	/* A connection that dies at once must not be made anew ten times a second. */
	if (db->state == DB_UP && clock_ms() - db->up_since >= GOOD_AGE_MS)
		db->delay = 0;
	db->delay = db->delay == 0 ? DELAY_MIN_MS : db->delay * 2;
	if (db->delay > DELAY_MAX_MS)
		db->delay = DELAY_MAX_MS;
	db->state = DB_AWAY;
	/* 75 to 125 %, since all nodes lose the database at the same moment. */
	db->deadline =
	    clock_ms() + db->delay * 3 / 4 + arc4random_uniform((uint32_t)(db->delay / 2));
}

/* Whether a function in PL/pgSQL warns. */
static bool
is_raised(const PGresult *res, const char *severity)
{
	const char *function = PQresultErrorField(res, PG_DIAG_SOURCE_FUNCTION);

	return severity != NULL && function != NULL && strcmp(severity, "WARNING") == 0 &&
	       strcmp(function, "exec_stmt_raise") == 0;
}

/* The log says a cause once, not for each task. */
static void
say_warning(struct db *db, const char *message)
{
	if (strcmp(db->warned, message) != 0)
		log_warn("database: %s", message);
	strlcpy(db->warned, message, sizeof(db->warned));
}

/* Takes a message that belongs to no answer.  The server's last words before it hangs up are kept.
 */
static void
take_notice(void *arg, const PGresult *res)
{
	struct db *db = arg;
	const char *severity = PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);
	char message[DB_WHY_MAX];

	db_error_message(res, message, sizeof(message));
	if (severity != NULL && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0))
		strlcpy(db->fatal, message, sizeof(db->fatal));
	else if (is_raised(res, severity))
		say_warning(db, message);
	else
		log_debug("database: %s", message);
}

/* Sets an option, in place of an earlier value.  NULL sets nothing. */
static void
set_option(struct options *options, const char *keyword, const char *value)
{
	int i;

	if (value == NULL)
		return;
	for (i = 0; i < options->n; i++)
		if (strcmp(options->keywords[i], keyword) == 0)
			break;
	if (i >= OPTIONS_MAX - 1)
		return;
	options->keywords[i] = keyword;
	options->values[i] = value;
	if (i == options->n)
		options->n++;
}

/* Notes a refusal that only an administrator can end. */
static void
note_stays(struct db *db, const char *why)
{
	db->host_stays = true;
	strlcpy(db->stays_why, why, sizeof(db->stays_why));
}

/* Why a connection failed.  libpq 17 says nothing of a socket that cannot be made: errno does. */
static void
connection_error(struct db *db, char *why, size_t why_size)
{
	int error = errno;
	bool stays = false;

	if (PQerrorMessage(db->conn)[0] == '\0')
		strlcpy(why, error != 0 ? strerror(error) : NO_REASON, why_size);
	else
		stays = db_mend_refused(db->conn, why, why_size);
	if (PQconnectionNeedsPassword(db->conn))
		db_passfile_explain(db, why, why_size);
	if (stays)
		note_stays(db, why);
}

/* Starts a connection to the address under trial.  Returns 0, or -1 with a sentence in why. */
static int
start_connection(struct db *db, char *why, size_t why_size)
{
	struct options options = { .n = 0 };
	const struct db_host *h = &db->hosts[db->host];
	const char *address = db->addresses.text[db->address];
	const PQconninfoOption *o;
	size_t i;

	for (i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
		if (db_conninfo_value(db, defaults[i].keyword) == NULL)
			set_option(&options, defaults[i].keyword, defaults[i].value);
	if (db_conninfo_value(db, "application_name") == NULL)
		set_option(&options, "application_name", db->application_name);
	for (o = db->options; o->keyword != NULL; o++)
		set_option(&options, o->keyword, o->val);
	set_option(&options, "host", h->host);
	set_option(&options, "hostaddr", address[0] != '\0' ? address : h->hostaddr);
	set_option(&options, "port", h->port);

	errno = 0;
	db->conn = PQconnectStartParams(options.keywords, options.values, 0);
	if (db->conn == NULL || PQstatus(db->conn) == CONNECTION_BAD) {
		connection_error(db, why, why_size);
		db_disconnect(db);
		return -1;
	}
	PQsetNoticeReceiver(db->conn, take_notice, db);
	PQsetErrorVerbosity(db->conn, PQERRORS_VERBOSE); /* db_mend_refused() needs the SQLSTATE */
	db->state = DB_CONNECTING;
	db->polling = PGRES_POLLING_WRITING;
	db->deadline = clock_ms() + db->connect_timeout;
	return 0;
}

/* Whether the host is a name, not a socket directory or an address. */
static bool
needs_resolving(const struct db_host *h)
{
	struct in_addr in;

	return h->hostaddr == NULL && h->host != NULL && h->host[0] != '/' && h->host[0] != '@' &&
	       strchr(h->host, ':') == NULL && inet_pton(AF_INET, h->host, &in) != 1;
}

static int
start_host(struct db *db, char *why, size_t why_size)
{
	const struct db_host *h = &db->hosts[db->host];

	db->address = 0;
	if (needs_resolving(h)) {
		db->resolve = db_resolve_start(h->host);
		if (db->resolve == NULL) {
			snprintf(why, why_size, "the look-up of host name \"%s\" cannot be started",
			    h->host);
			return -1;
		}
		db->state = DB_RESOLVING;
		db->resolve_deadline = clock_ms() + RESOLVE_TIMEOUT_MS;
		db->deadline = clock_ms() + RESOLVE_INTERVAL_MS;
		return 0;
	}
	db->addresses.n = 1;
	db->addresses.text[0][0] = '\0';
	return start_connection(db, why, why_size);
}

/*
 * The address under trial failed because of why: tries the next address, then the next host, then
 * pauses.  Returns whether the state changed.  A name may have addresses on which no server listens
 * at all, as localhost has; what a server says at another one counts for the host.
 */
static bool
connect_next(struct db *db, char *why, size_t why_size)
{
	for (;;) {
		if (++db->address < db->addresses.n) {
			if (start_connection(db, why, why_size) == 0)
				return true;
			continue;
		}
		db->stays = db->stays && db->host_stays;
		db->host_stays = false;
		if (++db->host < db->nhosts) {
			db->addresses.n = 0;
			if (start_host(db, why, why_size) == 0)
				return true;
			continue;
		}
		db_connect_later(db);
		db_away(db, db->stays ? db->stays_why : why, db->stays);
		return false;
	}
}

bool
db_connect_begin(struct db *db)
{
	char why[DB_WHY_MAX] = "the connection string of the setting \"database\" cannot be parsed";

	db->host = 0;
	db->addresses.n = 0;
	db->stays = true;
	db->host_stays = false;
	if (db->options == NULL) {
		db->host = db->nhosts;
		note_stays(db, why);
		return connect_next(db, why, sizeof(why));
	}
	if (start_host(db, why, sizeof(why)) == 0)
		return true;
	return connect_next(db, why, sizeof(why));
}

bool
db_connect_resolve(struct db *db)
{
	char why[DB_WHY_MAX];
	int64_t now = clock_ms();
	enum db_resolve_state state =
	    db_resolve_poll(db->resolve, &db->addresses, why, sizeof(why));

	if (state == RESOLVE_WAITS && now < db->resolve_deadline) {
		db->deadline = now + RESOLVE_INTERVAL_MS;
		return false;
	}
	if (state == RESOLVE_WAITS)
		snprintf(why, sizeof(why), "host name \"%s\" does not resolve: no answer in %d s",
		    db->hosts[db->host].host, RESOLVE_TIMEOUT_MS / 1000);
	if (state != RESOLVE_FOUND)
		db_mend(why, sizeof(why));
	db_resolve_free(db->resolve);
	db->resolve = NULL;
	if (state == RESOLVE_FOUND && start_connection(db, why, sizeof(why)) == 0)
		return true;
	return connect_next(db, why, sizeof(why));
}

short
db_connect_events(const struct db *db)
{
	return db->polling == PGRES_POLLING_READING ? POLLIN : POLLOUT;
}

/* Whether PQconnectPoll() may be called.  Before the descriptor is ready, it would take an
 * unfinished connect() for a finished one. */
static bool
is_ready(const struct db *db)
{
	struct pollfd p = { .fd = PQsocket(db->conn), .events = db_connect_events(db) };

	return poll(&p, 1, 0) > 0;
}

bool
db_connect_poll(struct db *db)
{
	char why[DB_WHY_MAX];

	errno = 0;
	while (
	    db->polling != PGRES_POLLING_OK && db->polling != PGRES_POLLING_FAILED && is_ready(db))
		db->polling = PQconnectPoll(db->conn);
	if (db->polling == PGRES_POLLING_OK) {
		PQsetErrorVerbosity(db->conn, PQERRORS_DEFAULT);
		db->state = DB_UP;
		db->deadline = 0;
		db->up_since = clock_ms();
		return true;
	}
	if (db->polling == PGRES_POLLING_FAILED) {
		connection_error(db, why, sizeof(why));
	} else if (clock_ms() >= db->deadline) {
		snprintf(why, sizeof(why), "host \"%s\" does not answer within %d s",
		    PQhost(db->conn) != NULL ? PQhost(db->conn) : "",
		    (int)(db->connect_timeout / 1000));
		db_mend(why, sizeof(why));
	} else {
		return false;
	}
	db_disconnect(db);
	return connect_next(db, why, sizeof(why));
}
