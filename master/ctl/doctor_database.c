/*
 * The database as the daemon's role sees it: the connection, a pooler in between, TLS, schema,
 * sequences, rights, room for connections, and the nodes that hold a lease.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/db/backends.h"
#include "common/db/db.h"
#include "master/ctl/doctor.h"

#define CONNECT_MS 60000 /* more than all hosts of a usual connection string need */
#define TRIPS 3 /* statements that measure the way */

enum { TLS_ON, TLS_VERSION, TLS_CIPHER };
static const char sql_tls[] = "SELECT ssl, version, cipher"
			      "  FROM pg_stat_ssl"
			      " WHERE pid = pg_backend_pid()";

static const char sql_sequences[] = "SELECT sequence, mend FROM ferry.sequences_behind()";

enum { RIGHTS_ROLE, RIGHTS_SUPER, RIGHTS_DAEMON };
static const char sql_rights[] =
    "SELECT current_user, rolsuper, pg_has_role('ferry_daemon', 'USAGE')"
    "  FROM pg_roles"
    " WHERE rolname = current_user";

/* The most connections that our role gets, those that others hold, and how many nodes there are. */
enum { ROOM_MOST, ROOM_OTHERS, ROOM_NODES };
static const char sql_room[] =
    "SELECT least(current_setting('max_connections')::bigint"
    "           - current_setting('superuser_reserved_connections')::bigint,"
    "           nullif(r.rolconnlimit, -1), nullif(d.datconnlimit, -1)),"
    "       (SELECT count(*)"
    "          FROM pg_stat_activity"
    "         WHERE backend_type = 'client backend' AND usename <> current_user),"
    "       (SELECT count(*) FROM ferry.node WHERE renewed_at + lease >= now())"
    "  FROM pg_roles r, pg_database d"
    " WHERE r.rolname = current_user AND d.datname = current_database()";

/*
 * Connects as ferryd does, whose handle knows what would mend a refusal.  Returns whether that
 * works.
 */
static bool
check_connection(struct doctor *d, const char *conninfo)
{
	struct db *db = db_new(conninfo, "ferryctl", &(struct db_events){ .quiet = true });
	struct db_outage outage = { .why = "there is no answer; look at the network" };
	int64_t end = clock_ms() + CONNECT_MS, began = clock_ms();
	struct pollfd fd;
	bool up;

	while (!db_is_up(db) && !db_outage(db, &outage) && clock_ms() < end) {
		fd = (struct pollfd){ .fd = db_fd(db), .events = db_poll_events(db) };
		poll(&fd, 1, clock_until(clock_earlier(db_deadline(db), end)));
		db_run(db);
	}
	up = db_is_up(db);
	if (up)
		doctor_tell(
		    d, DOCTOR_OK, "database", "connected in %" PRId64 " ms", clock_ms() - began);
	else
		doctor_tell(d, DOCTOR_FAIL, "database", "%s%s", outage.why,
		    outage.stays ? "" : " (ferryd waits for this)");
	db_free(db);
	return up;
}

/* Returns rows, or NULL after a finding. */
static PGresult *
ask(struct doctor *d, const char *check, const char *sql)
{
	PGresult *res = PQexec(d->ctl->conn, sql);
	char why[1024];

	if (db_error_class(res) == DB_ERR_NONE)
		return res;
	db_error_message(res, why, sizeof(why));
	doctor_tell(d, DOCTOR_FAIL, check, "%s; %s", why,
	    db_error_class(res) == DB_ERR_ACCESS
		? "GRANT ferry_daemon TO this role"
		: "run \"ferryctl migrate\" if the schema lacks it");
	PQclear(res);
	return NULL;
}

/* Whether the connection does not leave this machine. */
static bool
is_local(const PGconn *conn)
{
	const char *host = PQhost(conn), *address = PQhostaddr(conn);

	return (host != NULL && (host[0] == '/' || host[0] == '@')) ||
	       (address != NULL &&
		   (strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0));
}

/* Whether sslmode makes libpq look at the server's certificate. */
static bool
verifies(PGconn *conn)
{
	PQconninfoOption *options = PQconninfo(conn), *o;
	bool verified = false;

	for (o = options; o != NULL && o->keyword != NULL; o++)
		if (strcmp(o->keyword, "sslmode") == 0 && o->val != NULL)
			verified = strncmp(o->val, "verify-", 7) == 0;
	PQconninfoFree(options);
	return verified;
}

/* Returns the number of the backend that answers; 0 if none does. */
static long
ask_backend(PGconn *conn)
{
	enum { BACKEND };
	PGresult *res = PQexec(conn, backends_sql);
	long pid = PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) == 1
		       ? strtol(PQgetvalue(res, 0, BACKEND), NULL, 10)
		       : 0;

	PQclear(res);
	return pid;
}

/* A pooler that has no server left for a second connection is not judged, as in ferryd. */
static void
check_pooler(struct doctor *d, const char *conninfo)
{
	PGconn *conns[] = { d->ctl->conn, PQconnectdb(conninfo) };
	struct backends b = { .verdict = BACKENDS_ASKED };
	long pid = 1;

	while (b.verdict == BACKENDS_ASKED && pid != 0)
		if ((pid = ask_backend(conns[backends_turn(&b)])) != 0)
			backends_note(&b, pid);
	PQfinish(conns[1]);
	if (b.verdict == BACKENDS_SHARED)
		doctor_tell(d, DOCTOR_FAIL, "pooler", "%s", db_shared_why);
	else if (b.verdict == BACKENDS_KEPT)
		doctor_tell(d, DOCTOR_OK, "pooler", "none, or each connection keeps its server");
}

static void
check_tls(struct doctor *d)
{
	PGresult *res = ask(d, "tls", sql_tls);
	bool on = res != NULL && PQntuples(res) == 1 && PQgetvalue(res, 0, TLS_ON)[0] == 't';

	if (res == NULL)
		return;
	if (!on && is_local(d->ctl->conn))
		doctor_tell(d, DOCTOR_OK, "tls", "not used, and not needed on this machine");
	else if (!on)
		doctor_tell(d, DOCTOR_WARN, "tls",
		    "the connection to %s is not encrypted; switch ssl on at the server, and set "
		    "sslmode=verify-full and sslrootcert in the setting database",
		    PQhost(d->ctl->conn));
	else if (!verifies(d->ctl->conn))
		doctor_tell(d, DOCTOR_WARN, "tls",
		    "%s, but nobody looks at the server's certificate; set sslmode=verify-full and "
		    "sslrootcert in the setting database",
		    PQgetvalue(res, 0, TLS_VERSION));
	else
		doctor_tell(d, DOCTOR_OK, "tls", "%s, %s, certificate verified",
		    PQgetvalue(res, 0, TLS_VERSION), PQgetvalue(res, 0, TLS_CIPHER));
	PQclear(res);
}

/* Returns whether the schema fits. */
static bool
check_schema(struct doctor *d)
{
	PGresult *res = PQexec(d->ctl->conn, db_stmt_schema_version.sql);
	enum db_status status = db_error_class(res) == DB_ERR_NONE ? DB_OK : DB_ERROR;
	char why[512];
	const char *verdict = db_schema_verdict(status, res, why, sizeof(why));

	if (verdict != NULL)
		doctor_tell(d, DOCTOR_FAIL, "schema", "%s", verdict);
	else
		doctor_tell(
		    d, DOCTOR_OK, "schema", "version %d, as this program needs", DB_SCHEMA_VERSION);
	PQclear(res);
	return verdict == NULL;
}

static void
check_sequences(struct doctor *d)
{
	PGresult *res = ask(d, "sequences", sql_sequences);
	enum { SEQUENCE, MEND };
	int i;

	for (i = 0; res != NULL && i < PQntuples(res); i++)
		doctor_tell(d, DOCTOR_FAIL, "sequences",
		    "%s is behind the rows, so that new tasks get ids that are taken; %s",
		    PQgetvalue(res, i, SEQUENCE), PQgetvalue(res, i, MEND));
	if (res != NULL && PQntuples(res) == 0)
		doctor_tell(d, DOCTOR_OK, "sequences", "ahead of all rows");
	PQclear(res);
}

static void
check_rights(struct doctor *d)
{
	PGresult *res = ask(d, "rights", sql_rights);
	const char *role;

	if (res == NULL)
		return;
	role = PQgetvalue(res, 0, RIGHTS_ROLE);
	if (PQgetvalue(res, 0, RIGHTS_SUPER)[0] == 't')
		doctor_tell(d, DOCTOR_WARN, "rights",
		    "role %s is a superuser; connect as a role that has ferry_daemon alone", role);
	else if (PQgetvalue(res, 0, RIGHTS_DAEMON)[0] != 't')
		doctor_tell(d, DOCTOR_FAIL, "rights",
		    "role %s lacks ferry_daemon; GRANT ferry_daemon TO %s", role, role);
	else
		doctor_tell(d, DOCTOR_OK, "rights", "role %s has ferry_daemon", role);
	PQclear(res);
}

/* The most connections that a node opens: two for itself, and those of its workers. */
static int64_t
most_of_node(const struct config *conf)
{
	int most = config_workers_most(conf), workers = most < conf->workers ? most : conf->workers;

	if (conf->database_connections != 0 && conf->database_connections < workers)
		workers = conf->database_connections;
	return workers + 2;
}

/* With fewer connections the workers of a node pass theirs on; without one for the node and one for
 * a worker it does no work. */
static void
check_room(struct doctor *d)
{
	PGresult *res = ask(d, "connections", sql_room);
	int64_t most, others, nodes, need;

	if (res == NULL)
		return;
	most = ctl_number(res, 0, ROOM_MOST);
	others = ctl_number(res, 0, ROOM_OTHERS);
	nodes = ctl_number(res, 0, ROOM_NODES);
	PQclear(res);
	if (nodes == 0)
		doctor_tell(d, DOCTOR_WARN, "nodes",
		    "no ferryd holds a lease; start one, or see its log if it runs");
	else
		doctor_tell(d, DOCTOR_OK, "nodes", "%" PRId64 " hold a lease", nodes);
	if (d->conf == NULL)
		return;
	nodes = nodes > 0 ? nodes : 1;
	need = nodes * most_of_node(d->conf);
	if (need + others > most)
		doctor_tell(d, nodes * 2 > most ? DOCTOR_FAIL : DOCTOR_WARN, "connections",
		    "%" PRId64 " may be open at once, others hold %" PRId64
		    ", and nodes like this one open up to %" PRId64
		    "; raise max_connections or the limit of the role, or set "
		    "database_connections",
		    most, others, need);
	else
		doctor_tell(d, DOCTOR_OK, "connections",
		    "%" PRId64 " may be open at once, nodes like this one open up to %" PRId64,
		    most, need);
}

/* A lease is renewed three times in its length. */
static void
check_lease(struct doctor *d)
{
	int64_t began, trip, least = INT64_MAX, lease = d->conf->lease_ms;
	int i;

	for (i = 0; i < TRIPS; i++) {
		began = clock_ms();
		PQclear(PQexec(d->ctl->conn, "SELECT 1"));
		trip = clock_ms() - began;
		least = trip < least ? trip : least;
	}
	if (least * 10 > lease)
		doctor_tell(d, DOCTOR_WARN, "lease",
		    "a statement takes %" PRId64 " ms, and the lease is %" PRId64
		    " s; raise lease to ten times that at least",
		    least, lease / 1000);
	else
		doctor_tell(d, DOCTOR_OK, "lease",
		    "%" PRId64 " s, and a statement takes %" PRId64 " ms", lease / 1000, least);
}

void
doctor_database(struct doctor *d, const char *conninfo)
{
	if (!check_connection(d, conninfo))
		return;
	d->ctl->conn = PQconnectdb(conninfo);
	if (PQstatus(d->ctl->conn) != CONNECTION_OK) {
		doctor_tell(d, DOCTOR_FAIL, "database",
		    "it lets one connection in and not the next; raise max_connections");
		return;
	}
	check_pooler(d, conninfo);
	check_tls(d);
	check_rights(d);
	if (!check_schema(d))
		return;
	check_sequences(d);
	check_room(d);
	if (d->conf != NULL)
		check_lease(d);
}
