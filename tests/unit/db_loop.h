/*
 * The tests of the database handle share an owner's loop, which writes down all calls of one
 * handle. The PostgreSQL of FERRY_TEST_DATABASE, a superuser's conninfo, belongs to the test alone.
 */
#ifndef TESTS_UNIT_DB_LOOP_H
#define TESTS_UNIT_DB_LOOP_H

#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/db/db.h"
#include "common/base/log.h"
#include "tests/unit/tap.h"

#define BLOCK_MAX 50

static const char *conninfo;
static int64_t blocked_max;
static char logfile[] = "/tmp/test_db.XXXXXX";

struct seen {
	char order[4096]; /* one word for each call, in order */
	int ups, downs, notes;
	struct db *db;
	const struct db_stmt *at_up;
	enum db_mode at_up_mode;
};

static const struct db_stmt stmt_echo = { "echo", "SELECT $1::text", 1 };

/* A clock that stands still while this thread runs or waits for a processor.  It shows calls that
 * wait for something else. */
static int64_t
blocked_ms(void)
{
	unsigned long long run = 0, wait = 0;
	FILE *f = fopen("/proc/thread-self/schedstat", "r");

	if (f != NULL) {
		if (fscanf(f, "%llu %llu", &run, &wait) != 2)
			run = wait = 0;
		fclose(f);
	}
	return clock_ms() - (int64_t)((run + wait) / 1000000);
}

static int told; /* callbacks so far */
static bool said_wrong; /* db_run() returned the wrong value once */

static void __attribute__((unused)) note(struct seen *seen, const char *word)
{
	told++;
	strlcat(seen->order, seen->order[0] != '\0' ? " " : "", sizeof(seen->order));
	strlcat(seen->order, word, sizeof(seen->order));
}

static void __attribute__((unused)) answered(void *arg, enum db_status status, PGresult *res)
{
	struct seen *seen = arg;
	char message[256];

	if (status == DB_LOST)
		note(seen, "lost");
	else if (status == DB_ERROR)
		note(seen, db_error_message(res, message, sizeof(message)));
	else
		note(seen, PQntuples(res) == 1 ? PQgetvalue(res, 0, 0) : PQcmdStatus(res));
}

static void __attribute__((unused)) on_up(void *arg)
{
	struct seen *seen = arg;

	seen->ups++;
	note(seen, "up");
	if (seen->at_up != NULL)
		db_submit(seen->db, seen->at_up, NULL, seen->at_up_mode, answered, seen);
}

static void __attribute__((unused)) on_down(void *arg, const char *why)
{
	struct seen *seen = arg;

	(void)why;
	seen->downs++;
	note(seen, "down");
}

static void __attribute__((unused)) on_notify(void *arg, const char *channel, const char *payload)
{
	struct seen *seen = arg;

	told++;
	if (strcmp(channel, "db_test") == 0 && strcmp(payload, "hey") == 0)
		seen->notes++;
}

static struct db *__attribute__((unused)) open_handle(struct seen *seen, const char *info)
{
	struct db_events events = {
		.up = on_up, .down = on_down, .notify = on_notify, .arg = seen
	};

	memset(seen, 0, sizeof(*seen));
	seen->db = db_new(info, "ferry-test", &events);
	return seen->db;
}

/* One turn of an owner's loop, of at most so many milliseconds. */
static void __attribute__((unused)) turn(struct db *db, int ms)
{
	struct pollfd p = { .fd = db_fd(db), .events = db_poll_events(db) };
	int until = clock_until(db_deadline(db));
	int64_t before;
	int told_before = told;

	poll(&p, 1, until == -1 || until > ms ? ms : until);
	before = blocked_ms();
	said_wrong |= db_run(db) != (told > told_before);
	if (blocked_ms() - before > blocked_max)
		blocked_max = blocked_ms() - before;
}

/* Runs until nothing is pending and the connection is up, at most so many milliseconds.  Returns
 * whether that was reached. */
static bool __attribute__((unused)) settle(struct db *db, int ms)
{
	int64_t end = clock_ms() + ms;

	do
		turn(db, (int)(end - clock_ms()));
	while ((db_pending(db) > 0 || !db_is_up(db)) && clock_ms() < end);
	return db_pending(db) == 0 && db_is_up(db);
}

static void __attribute__((unused)) run_for(struct db *db, int ms)
{
	int64_t end = clock_ms() + ms;

	while (clock_ms() < end)
		turn(db, (int)(end - clock_ms()));
}

static void __attribute__((unused)) ignore_notice(void *arg, const char *message)
{
	(void)arg, (void)message;
}

/* Runs a statement on a connection of its own.  Returns the first value as a number, or -1. */
static int __attribute__((unused)) sql(const char *text)
{
	PGconn *conn = NULL;
	PGresult *res;
	int value = -1, i;

	for (i = 0; i < 100; i++) {
		conn = PQconnectdb(conninfo);
		if (PQstatus(conn) == CONNECTION_OK)
			break;
		PQfinish(conn);
		conn = NULL;
		usleep(100000);
	}
	PQsetNoticeProcessor(conn, ignore_notice, NULL);
	res = PQexec(conn, text);
	if (PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) == 1)
		value = (int)strtol(PQgetvalue(res, 0, 0), NULL, 10);
	PQclear(res);
	PQfinish(conn);
	return value;
}

static int __attribute__((unused)) log_count(const char *words)
{
	char line[LOG_LINE_MAX];
	FILE *f = fopen(logfile, "r");
	int n = 0;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		n += strstr(line, words) != NULL;
	if (f != NULL)
		fclose(f);
	return n;
}

static void __attribute__((unused))
submit(struct seen *seen, const struct db_stmt *stmt, const char *param, enum db_mode mode)
{
	const char *params[1] = { param };

	db_submit(seen->db, stmt, params, mode, answered, seen);
}

/* Returns false, after a plan, if there is no database to test with. */
static bool
begin(void)
{
	int fd;

	conninfo = getenv("FERRY_TEST_DATABASE");
	if (conninfo == NULL || *conninfo == '\0') {
		printf("1..0 # SKIP FERRY_TEST_DATABASE is not set\n");
		return false;
	}
	fd = mkstemp(logfile);
	close(fd);
	log_init("test_db", -1);
	return ok(fd != -1 && log_open(logfile) == 0, "a log to read afterwards");
}

static int
end(void)
{
	ok(blocked_max <= BLOCK_MAX, "db_run() never waited longer than %d ms (%d)", BLOCK_MAX,
	    (int)blocked_max);
	ok(told > 0 && !said_wrong, "db_run() always returned whether it had called back");
	unlink(logfile);
	return done_testing();
}

#endif
