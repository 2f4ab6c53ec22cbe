/*
 * The database handle's way to a server past bad hosts, with one line in the log an outage; and the
 * verdict on the schema's version.
 */
#include <sys/stat.h>
#include <arpa/inet.h>
#include <sys/socket.h>

#include "common/db/private.h"
#include "tests/unit/db_loop.h"

/* No case leads to a database.  Each logs one line with the reason, and the handle keeps trying. */
static void
test_away(void)
{
	static const struct {
		const char *what, *info, *reason;
		int ms;
	} cases[] = {
		{ "a name that does not resolve", "host=no-such-host.invalid password=hush",
		    "does not resolve", 12000 },
		{ "a refused port", "host=127.0.0.1 port=9 password=hush", "refused", 1500 },
		{ "a socket that is not there", "host=/nowhere password=hush", "No such file",
		    1500 },
		{ "a broken conninfo", "host=/nowhere password=hush password", "cannot be parsed",
		    1500 },
		{ "lists that do not match", "host=a,b port=1,2,3 password=hush", "could not match",
		    1500 },
	};
	struct seen seen;
	struct db *db;
	size_t i;
	int away;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t end = clock_ms() + cases[i].ms;

		away = log_count("database away");
		db = open_handle(&seen, cases[i].info);
		while (seen.downs == 0 && clock_ms() < end)
			turn(db, 100);
		run_for(db, 1000);
		ok(!db_is_up(db) && seen.downs == 1, "%s: down, told once", cases[i].what);
		is_int(log_count("database away") - away, 1, "%s: logged once", cases[i].what);
		ok(log_count(cases[i].reason) > 0, "%s: the log says \"%s\"", cases[i].what,
		    cases[i].reason);
		ok(db_deadline(db) > 0 || db_fd(db) != -1, "%s: it will try again", cases[i].what);
		db_free(db);
	}
	is_int(log_count("hush"), 0, "no password is in the log");
}

/* The value of an option of the test's server, for conninfos that name another server first. */
static void
server_option(const char *keyword, char *buf, size_t size)
{
	PQconninfoOption *options = PQconninfoParse(conninfo, NULL), *o;

	buf[0] = '\0';
	for (o = options; o != NULL && o->keyword != NULL; o++)
		if (strcmp(o->keyword, keyword) == 0 && o->val != NULL)
			strlcpy(buf, o->val, size);
	PQconninfoFree(options);
}

static void
test_second_host(void)
{
	struct sockaddr_in silent = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(silent);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char host[256], port[32], user[64], info[1024];
	struct seen seen;
	struct db *db;

	if (bind(fd, (struct sockaddr *)&silent, len) != 0 || listen(fd, 4) != 0 ||
	    getsockname(fd, (struct sockaddr *)&silent, &len) != 0)
		perror("listen");
	server_option("host", host, sizeof(host));
	server_option("port", port, sizeof(port));
	server_option("user", user, sizeof(user));
	snprintf(info, sizeof(info),
	    "host=localhost,no-such-host.invalid,127.0.0.1,%s port=%d,5432,9,%s user=%s "
	    "dbname=postgres connect_timeout=2",
	    host, ntohs(silent.sin_port), port, user);
	db = open_handle(&seen, info);
	submit(&seen, &stmt_echo, "here", DB_ONCE);
	ok(settle(db, 25000),
	    "after a silent host, one without address and one that refuses comes the right one");
	is_str(seen.order, "up here", "this is no outage");
	db_free(db);
	close(fd);
}

static void
test_schema(void)
{
	struct seen seen;
	struct db *db = open_handle(&seen, conninfo);
	char buf[512];
	PGconn *conn = PQconnectdb(conninfo);
	PGresult *res;

	db_free(db);
	res = PQexec(conn, "SELECT version::text FROM no_such_schema.schema_version");
	ok(strstr(db_schema_verdict(DB_ERROR, res, buf, sizeof(buf)), "ferryctl migrate") != NULL,
	    "no schema: %s", buf);
	PQclear(res);
	res = PQexec(conn, "SELECT NULL::text, NULL::text, NULL::text");
	ok(strstr(db_schema_verdict(DB_OK, res, buf, sizeof(buf)), "ferryctl migrate") != NULL,
	    "too old: %s", buf);
	PQclear(res);
	res = PQexec(conn, "SELECT '999', '999', NULL");
	ok(strstr(db_schema_verdict(DB_OK, res, buf, sizeof(buf)), "999, which does not serve") !=
		NULL,
	    "too new: %s", buf);
	PQclear(res);
	snprintf(buf, sizeof(buf), "SELECT '%d', NULL, NULL", DB_SCHEMA_VERSION);
	res = PQexec(conn, buf);
	ok(db_schema_verdict(DB_OK, res, buf, sizeof(buf)) == NULL, "the right one passes");
	PQclear(res);
	snprintf(buf, sizeof(buf), "SELECT '%d', NULL, 'ferry.x'", DB_SCHEMA_VERSION);
	res = PQexec(conn, buf);
	ok(strstr(db_schema_verdict(DB_OK, res, buf, sizeof(buf)), "hides rows of ferry.x") != NULL,
	    "a policy hides rows: %s", buf);
	PQclear(res);
	snprintf(buf, sizeof(buf), "SELECT '999', '%d', NULL", DB_SCHEMA_VERSION);
	res = PQexec(conn, buf);
	ok(db_schema_verdict(DB_OK, res, buf, sizeof(buf)) == NULL,
	    "a newer one that serves this program passes");
	PQclear(res);
	ok(db_schema_verdict(DB_LOST, NULL, buf, sizeof(buf)) == NULL,
	    "a lost answer gives no verdict");
	PQfinish(conn);
}

/* The class of an error with this SQLSTATE. */
static enum db_error
class_of(PGconn *conn, const char *state)
{
	char text[128];
	PGresult *res;
	enum db_error class;

	snprintf(text, sizeof(text), "DO $$ BEGIN RAISE 'x' USING ERRCODE = '%s'; END $$", state);
	res = PQexec(conn, text);
	class = db_error_class(res);
	PQclear(res);
	return class;
}

/* What follows from an error: whether the statement is sent again, or the connection given up. */
static void
test_classes(void)
{
	static const struct {
		const char *state, *what;
		enum db_error class;
	} cases[] = {
		{ "40001", "a collision", DB_ERR_RETRY },
		{ "40P01", "a deadlock", DB_ERR_RETRY },
		{ "55P03", "a lock that cannot be had", DB_ERR_RETRY },
		{ "57014", "a time-out", DB_ERR_RETRY },
		{ "57P01", "a shutdown", DB_ERR_CONNECTION },
		{ "57P03", "a server that starts", DB_ERR_CONNECTION },
		{ "25006", "a server that became a standby", DB_ERR_CONNECTION },
		{ "08006", "a lost connection", DB_ERR_CONNECTION },
		{ "53100", "a full disk", DB_ERR_RESOURCES },
		{ "28000", "an account that may not log in", DB_ERR_ACCESS },
		{ "42501", "a right that is missing", DB_ERR_ACCESS },
		{ "42P01", "a table that is missing", DB_ERR_SCHEMA },
		{ "42703", "a column that is missing", DB_ERR_SCHEMA },
		{ "42883", "a function that is missing", DB_ERR_SCHEMA },
		{ "3F000", "a schema that is missing", DB_ERR_SCHEMA },
		{ "22021", "bytes that are no text", DB_ERR_DATA },
		{ "23514", "a value out of its range", DB_ERR_DATA },
		{ "42601", "anything else", DB_ERR_OTHER },
	};
	PGconn *conn = PQconnectdb(conninfo);
	PGresult *res = PQexec(conn, "SELECT 1");
	size_t i;

	is_int(db_error_class(res), DB_ERR_NONE, "rows are no error");
	PQclear(res);
	is_int(db_error_class(NULL), DB_ERR_CONNECTION, "no answer at all is a lost connection");
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		is_int(class_of(conn, cases[i].state), cases[i].class, "%s", cases[i].what);
	PQfinish(conn);
}

/* A source's URL may carry a signature, and the server quotes rows in details of an error. */
static void
test_message(void)
{
	PGconn *conn = PQconnectdb(conninfo);
	PGresult *res =
	    PQexec(conn, "DO $$ BEGIN RAISE 'broken' USING DETAIL = 'row https://h/?SECRET', "
			 "HINT = 'SECRET'; END $$");
	char buf[256];

	is_str(db_error_message(res, buf, sizeof(buf)), "broken",
	    "of an error only the primary message is shown");
	PQclear(res);
	is_str(db_error_message(NULL, buf, sizeof(buf)), "the connection was lost",
	    "of none at all, that");
	PQfinish(conn);
}

/* After a fail-over the old primary may still be there, and read-only. */
static void
test_standby(void)
{
	struct seen seen;
	char info[1024];
	struct db *db;
	int64_t end = clock_ms() + 5000;

	snprintf(info, sizeof(info), "%s options='-c default_transaction_read_only=on'", conninfo);
	db = open_handle(&seen, info);
	while (seen.ups == 0 && seen.downs == 0 && clock_ms() < end)
		turn(db, 100);
	ok(seen.ups == 0 && seen.downs == 1, "a server that takes no writes is no database for us");
	db_free(db);
}

static void
test_one_line(void)
{
	char buf[64];

	is_str(db_one_line("first\n\thint\nsecond\n", buf, sizeof(buf)), "first; second",
	    "a message of many lines becomes one, without its hints");
	is_str(db_one_line("refused\nrefused\n", buf, sizeof(buf)), "refused",
	    "the same error with TLS and without is told once");
	is_str(db_one_line("0123456789\nabc", buf, 13), "0123456789;", "a message is cut to size");
	is_str(db_one_line("", buf, sizeof(buf)), "", "nothing stays nothing");
}

/* The hosts of a service file are tried in turn, each with its own deadline, as those of a
 * conninfo.
 */
static void
test_service(void)
{
	struct sockaddr_in silent = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(silent);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char host[256], port[32], user[64], path[] = "/tmp/ferry-service.XXXXXX";
	FILE *f = fdopen(mkstemp(path), "w");
	struct seen seen;
	struct db *db;

	if (f == NULL || bind(fd, (struct sockaddr *)&silent, len) != 0 || listen(fd, 0) != 0 ||
	    getsockname(fd, (struct sockaddr *)&silent, &len) != 0)
		perror("listen");
	server_option("host", host, sizeof(host));
	server_option("port", port, sizeof(port));
	server_option("user", user, sizeof(user));
	fprintf(f,
	    "[fleet]\nhost=127.0.0.1,%s\nport=%d,%s\nuser=%s\ndbname=postgres\n"
	    "connect_timeout=2\n",
	    host, ntohs(silent.sin_port), port, user);
	fclose(f);
	setenv("PGSERVICEFILE", path, 1);
	db = open_handle(&seen, "service=fleet");
	submit(&seen, &stmt_echo, "here", DB_ONCE);
	ok(settle(db, 15000), "after the silent host of a service comes the next");
	is_str(seen.order, "up here", "this is no outage, too");
	db_free(db);
	unsetenv("PGSERVICEFILE");
	unlink(path);
	close(fd);
}

/* The words that are added to a reason for a password file of this mode. */
static void
explained(const char *path, mode_t mode, const char *more, char *why, size_t size)
{
	char info[256];
	struct seen seen;
	struct db *db;

	chmod(path, mode);
	snprintf(info, sizeof(info), "passfile=%s %s", path, more);
	db = open_handle(&seen, info);
	strlcpy(why, "no password", size);
	db_passfile_explain(db, why, size);
	db_free(db);
}

static void
test_passfile(void)
{
	char path[] = "/tmp/ferry-passfile.XXXXXX", why[512];

	close(mkstemp(path));
	explained(path, 0644, "", why, sizeof(why));
	ok(strstr(why, path) != NULL && strstr(why, "chmod 600") != NULL,
	    "a password file that others may read is named: %s", why);
	explained(path, 0600, "", why, sizeof(why));
	is_str(why, "no password", "one with the right mode is not");
	explained(path, 0644, "password=x", why, sizeof(why));
	is_str(why, "no password", "nor one that is not needed");
	unlink(path);
}

int
main(void)
{
	if (!begin())
		return 0;
	test_away();
	test_second_host();
	test_service();
	test_passfile();
	test_schema();
	test_classes();
	test_message();
	test_standby();
	test_one_line();
	return end();
}
