/*
 * Connecting: the conninfo taken apart, its hosts tried one after the other, each of its addresses
 * with a deadline of its own, and a pause between the rounds that doubles from 100 ms to 5 s.
 *
 * libpq could go through a list of hosts by itself, but when it is polled from outside it keeps no
 * time, so that one host that swallows packets would keep it from the next.  Therefore libpq always
 * gets a single host.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/db_internal.h"
#include "common/log.h"

#define DELAY_MIN 100
#define DELAY_MAX 5000
#define GOOD_AGE 2000
#define RESOLVE_INTERVAL 10
#define RESOLVE_TIMEOUT 10000
#define CONNECT_TIMEOUT 5000
#define PARAMS_MAX 96
#define STILL_AWAY 3000

/* A statement that hangs must give way before a lease of 30 s is lost; a server that hangs, shortly
 * after it. */
#define STATEMENT_TIMEOUT_OPTION "-c statement_timeout=10s"
#define ANSWER_TIMEOUT 15000

/* Given where neither the conninfo nor the environment says anything else. */
static const struct {
	const char *keyword;
	const char *value;
} defaults[] = {
    {"client_encoding", "UTF8"}, {"connect_timeout", "5"}, {"keepalives", "1"},
    {"keepalives_idle", "10"}, {"keepalives_interval", "5"}, {"keepalives_count", "3"},
    {"tcp_user_timeout", "15000"},
    {"target_session_attrs", "read-write"}, /* after a failover the old primary must not be taken */
    {"gssencmode", "disable"}, /* the look-up of a ticket would block */
};

/* What the conninfo, else the environment, gives for keyword; NULL for neither. */
static const char *
option_value(const struct db *db, const char *keyword)
{
	const PQconninfoOption *o;

	for (o = db->options; o != NULL && o->keyword != NULL; o++) {
		if (strcmp(o->keyword, keyword) != 0)
			continue;
		if (o->val != NULL && o->val[0] != '\0')
			return o->val;
		return o->envvar != NULL ? getenv(o->envvar) : NULL;
	}
	return NULL;
}

static int
list_count(const char *list)
{
	int n = 1;

	if (list == NULL)
		return 0;
	for (; *list != '\0'; list++)
		n += *list == ',';
	return n;
}

/* Item i of a comma-separated list, or its only item for every i; NULL if it is empty.  On the
 * heap. */
static char *
list_item(const char *list, int i)
{
	size_t len;
	char *item;

	if (list == NULL)
		return NULL;
	if (list_count(list) > 1)
		for (; i > 0; i--)
			list += strcspn(list, ",") + 1;
	len = strcspn(list, ",");
	if (len == 0)
		return NULL;
	item = db_alloc(len + 1);
	memcpy(item, list, len);
	item[len] = '\0';
	return item;
}

/*
 * Takes the lists of hosts apart.  Lists that do not match are left whole in one entry: libpq will
 * say what is wrong.
 */
static void
init_hosts(struct db *db)
{
	const char *host = option_value(db, "host"), *hostaddr = option_value(db, "hostaddr");
	const char *port = option_value(db, "port");
	int nhost = list_count(host), naddr = list_count(hostaddr), nport = list_count(port), i;

	db->nhosts = naddr > 0 ? naddr : nhost > 0 ? nhost : 1;
	if ((nhost > 0 && nhost != db->nhosts) || (nport > 1 && nport != db->nhosts)) {
		db->nhosts = 1;
		db->hosts = db_alloc(sizeof(db->hosts[0]));
		db->hosts[0].host = host != NULL ? db_strdup(host) : NULL;
		db->hosts[0].hostaddr = db_strdup(hostaddr != NULL ? hostaddr : "");
		db->hosts[0].port = port != NULL ? db_strdup(port) : NULL;
		return;
	}
	db->hosts = db_alloc((size_t)db->nhosts * sizeof(db->hosts[0]));
	for (i = 0; i < db->nhosts; i++) {
		db->hosts[i].host = list_item(host, i);
		db->hosts[i].hostaddr = list_item(hostaddr, i);
		db->hosts[i].port = list_item(port, i);
	}
}

void
db_connect_init(struct db *db, const char *conninfo)
{
	const char *given, *timeout, *errstr;
	size_t size;
	char *error = NULL;

	db->options = PQconninfoParse(conninfo, &error);
	PQfreemem(error); /* it may quote a password */
	init_hosts(db);

	timeout = option_value(db, "connect_timeout");
	db->connect_timeout = timeout != NULL ? strtonum(timeout, 2, 3600, &errstr) * 1000 : 0;
	if (db->connect_timeout == 0)
		db->connect_timeout = CONNECT_TIMEOUT;

	given = option_value(db, "options");
	if (given != NULL && strstr(given, "statement_timeout") != NULL) {
		db->server_options = db_strdup(given);
		return;
	}
	db->answer_timeout = ANSWER_TIMEOUT;
	size = (given != NULL ? strlen(given) : 0) + sizeof(STATEMENT_TIMEOUT_OPTION) + 1;
	db->server_options = db_alloc(size);
	snprintf(db->server_options, size, "%s%s" STATEMENT_TIMEOUT_OPTION,
	    given != NULL ? given : "", given != NULL ? " " : "");
}

void
db_connect_release(struct db *db)
{
	PQconninfoOption *o;
	int i;

	db_resolve_free(db->resolve);
	for (i = 0; i < db->nhosts; i++) {
		free(db->hosts[i].host);
		free(db->hosts[i].hostaddr);
		free(db->hosts[i].port);
	}
	free(db->hosts);
	free(db->server_options);
	for (o = db->options; o != NULL && o->keyword != NULL; o++)
		if (o->val != NULL && strcmp(o->keyword, "password") == 0)
			explicit_bzero(o->val, strlen(o->val));
	PQconninfoFree(db->options);
}

/* The first reason is often only how the connection ended; what keeps it from coming back is said
 * once more. */
static void
say_still_away(struct db *db, const char *why)
{
	if (db->events.quiet || db->said_still || clock_ms() - db->away_since < STILL_AWAY ||
	    strcmp(why, db->away_why) == 0)
		return;
	db->said_still = true;
	log_warn("database still away: %s", why);
}

void
db_away(struct db *db, const char *why)
{
	if (db->away) {
		say_still_away(db, why);
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
}

void
db_connect_later(struct db *db)
{
	/* A connection that dies as soon as it is used must not be remade ten times a second. */
	if (db_age(db) >= GOOD_AGE)
		db->delay = 0;
	db->delay = db->delay == 0 ? DELAY_MIN : db->delay * 2;
	if (db->delay > DELAY_MAX)
		db->delay = DELAY_MAX;
	db->state = DB_AWAY;
	/* Three quarters to five quarters: many nodes lose the same database at the same moment. */
	db->deadline =
	    clock_ms() + db->delay * 3 / 4 + arc4random_uniform((uint32_t)(db->delay / 2));
}

static void
set_param(
    const char **keywords, const char **values, int *n, const char *keyword, const char *value)
{
	int i;

	if (value == NULL)
		return;
	for (i = 0; i < *n; i++)
		if (strcmp(keywords[i], keyword) == 0)
			break;
	if (i >= PARAMS_MAX - 1)
		return;
	keywords[i] = keyword;
	values[i] = value;
	if (i == *n)
		++*n;
}

/* Starts a connection to the present address of the present host.  Returns 0, or -1 with a sentence
 * in why. */
static int
start_connection(struct db *db, char *why, size_t why_size)
{
	const char *keywords[PARAMS_MAX] = {NULL}, *values[PARAMS_MAX] = {NULL};
	const struct db_host *h = &db->hosts[db->host];
	const char *address = db->addresses[db->address];
	const PQconninfoOption *o;
	size_t i;
	int n = 0;

	for (i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
		if (option_value(db, defaults[i].keyword) == NULL)
			set_param(keywords, values, &n, defaults[i].keyword, defaults[i].value);
	if (option_value(db, "application_name") == NULL)
		set_param(keywords, values, &n, "application_name", db->application_name);
	for (o = db->options; o->keyword != NULL; o++)
		set_param(keywords, values, &n, o->keyword, o->val);
	set_param(keywords, values, &n, "options", db->server_options);
	set_param(keywords, values, &n, "host", h->host);
	set_param(keywords, values, &n, "hostaddr", address[0] != '\0' ? address : h->hostaddr);
	set_param(keywords, values, &n, "port", h->port);

	db->conn = PQconnectStartParams(keywords, values, 0);
	if (db->conn == NULL || PQstatus(db->conn) == CONNECTION_BAD) {
		db_one_line(PQerrorMessage(db->conn), why, why_size);
		db_disconnect(db);
		return -1;
	}
	PQsetNoticeReceiver(db->conn, db_take_notice, db);
	db->state = DB_CONNECTING;
	db->polling = PGRES_POLLING_WRITING;
	db->deadline = clock_ms() + db->connect_timeout;
	return 0;
}

/* Only a name costs a look-up: not a socket directory, nor an address of either family. */
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
		db->resolve_deadline = clock_ms() + RESOLVE_TIMEOUT;
		db->deadline = clock_ms() + RESOLVE_INTERVAL;
		return 0;
	}
	db->naddresses = 1;
	db->addresses[0][0] = '\0';
	return start_connection(db, why, why_size);
}

/* The present address failed, because of why: the next one, the next host, or a pause. */
static bool
connect_next(struct db *db, char *why, size_t why_size)
{
	for (;;) {
		if (++db->address < db->naddresses) {
			if (start_connection(db, why, why_size) == 0)
				return true;
		} else if (++db->host < db->nhosts) {
			db->naddresses = 0;
			if (start_host(db, why, why_size) == 0)
				return true;
		} else {
			db_connect_later(db);
			db_away(db, why);
			return false;
		}
	}
}

bool
db_connect_begin(struct db *db)
{
	char why[DB_WHY_MAX] = "the connection string of the setting \"database\" cannot be parsed";

	db->host = 0;
	db->naddresses = 0;
	if (db->options == NULL) {
		db->host = db->nhosts;
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
	int found = db_resolve_poll(
	    db->resolve, db->addresses, DB_ADDRESSES_MAX, &db->naddresses, why, sizeof(why));

	if (found == 0 && now < db->resolve_deadline) {
		db->deadline = now + RESOLVE_INTERVAL;
		return false;
	}
	if (found == 0)
		snprintf(why, sizeof(why), "host name \"%s\" does not resolve: no answer in %d s",
		    db->hosts[db->host].host, RESOLVE_TIMEOUT / 1000);
	db_resolve_free(db->resolve);
	db->resolve = NULL;
	if (found == 1 && start_connection(db, why, sizeof(why)) == 0)
		return true;
	return connect_next(db, why, sizeof(why));
}

/* PQconnectPoll() called before the descriptor is ready would take an unfinished connect for a
 * finished one. */
static bool
is_ready(const struct db *db)
{
	struct pollfd p = {.fd = PQsocket(db->conn), .events = db_poll_events(db)};

	return poll(&p, 1, 0) > 0;
}

bool
db_connect_poll(struct db *db)
{
	char why[DB_WHY_MAX];

	while (
	    db->polling != PGRES_POLLING_OK && db->polling != PGRES_POLLING_FAILED && is_ready(db))
		db->polling = PQconnectPoll(db->conn);
	if (db->polling == PGRES_POLLING_OK) {
		db_connected(db);
		return true;
	}
	if (db->polling == PGRES_POLLING_FAILED) {
		db_one_line(PQerrorMessage(db->conn), why, sizeof(why));
	} else if (clock_ms() >= db->deadline) {
		snprintf(why, sizeof(why), "host \"%s\" does not answer within %d s",
		    PQhost(db->conn) != NULL ? PQhost(db->conn) : "",
		    (int)(db->connect_timeout / 1000));
	} else {
		return false;
	}
	db_disconnect(db);
	return connect_next(db, why, sizeof(why));
}
