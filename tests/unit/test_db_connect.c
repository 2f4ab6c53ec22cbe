/*
 * The database handle's way to a server: hosts that are none, hosts that come next, one line in the
 * log an outage; and the verdict on the schema's version.
 */
#include <arpa/inet.h>
#include <sys/socket.h>

#include "common/db_internal.h"
#include "tests/unit/db_loop.h"

/* Each of these is no way to a database: one line in the log, a reason, and the handle keeps
 * trying. */
static void
test_away(void)
{
	static const struct {
		const char *what, *info, *reason;
		int ms;
	} cases[] = {
	    {"a name that does not resolve", "host=no-such-host.invalid password=hush",
		"does not resolve", 12000},
	    {"a refused port", "host=127.0.0.1 port=9 password=hush", "refused", 1500},
	    {"a socket that is not there", "host=/nowhere password=hush", "No such file", 1500},
	    {"a broken conninfo", "host=/nowhere password=hush password", "cannot be parsed", 1500},
	    {"lists that do not match", "host=a,b port=1,2,3 password=hush", "could not match",
		1500},
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

/* host and port of the server under test, for conninfos that name another one first */
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
	struct sockaddr_in silent = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
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
	is_str(seen.order, "up here", "and that is no outage");
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
	res = PQexec(conn, "SELECT max(version)::text FROM no_such_schema.schema_version");
	ok(strstr(db_schema_verdict(DB_ERROR, res, buf, sizeof(buf)), "ferryctl migrate") != NULL,
	    "no schema: %s", buf);
	PQclear(res);
	res = PQexec(conn, "SELECT NULL::text");
	ok(strstr(db_schema_verdict(DB_OK, res, buf, sizeof(buf)), "ferryctl migrate") != NULL,
	    "too old: %s", buf);
	PQclear(res);
	res = PQexec(conn, "SELECT '999'");
	ok(strstr(db_schema_verdict(DB_OK, res, buf, sizeof(buf)), "newer") != NULL, "too new: %s",
	    buf);
	PQclear(res);
	snprintf(buf, sizeof(buf), "SELECT '%d'", DB_SCHEMA_VERSION);
	res = PQexec(conn, buf);
	ok(db_schema_verdict(DB_OK, res, buf, sizeof(buf)) == NULL, "the right one passes");
	PQclear(res);
	ok(db_schema_verdict(DB_LOST, NULL, buf, sizeof(buf)) == NULL,
	    "of a lost answer nothing is said");
	PQfinish(conn);
}

static void
test_one_line(void)
{
	char buf[64];

	is_str(db_one_line("first\n\thint\nsecond\n", buf, sizeof(buf)), "first; second",
	    "a message of many lines becomes one, without its hints");
	is_str(db_one_line("refused\nrefused\n", buf, sizeof(buf)), "refused",
	    "what is said twice, with and without TLS, is said once");
	is_str(db_one_line("0123456789\nabc", buf, 13), "0123456789;", "and it is cut to size");
	is_str(db_one_line("", buf, sizeof(buf)), "", "nothing stays nothing");
}

int
main(void)
{
	if (!begin())
		return 0;
	test_away();
	test_second_host();
	test_schema();
	test_one_line();
	return end();
}
