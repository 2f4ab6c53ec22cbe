/*
 * The database handle's statements: order, repetition, loss, notifications, on a real PostgreSQL.
 * The server is made to crash by killing one of its backends, which ends all connections and
 * refuses new ones while it recovers, as a restart does.
 */
#include <sys/socket.h>

#include "tests/unit/db_loop.h"

static const struct db_stmt stmt_add = { "add",
	"INSERT INTO public.db_test (word) VALUES ($1) ON CONFLICT DO NOTHING", 1 };
static const struct db_stmt stmt_append = { "append",
	"INSERT INTO public.db_test_log (word) VALUES ($1)", 1 };
static const struct db_stmt stmt_slow = { "slow", "SELECT 'slow', pg_sleep(0.4)", 0 };
static const struct db_stmt stmt_hello = { "hello", "SELECT 'hello'", 0 };
static const struct db_stmt stmt_listen = { "listen", "LISTEN db_test", 0 };
static const struct db_stmt stmt_bad = { "bad", "SELECT nothing FROM nowhere", 0 };
static const struct db_stmt stmt_late = { "late", "SELECT public.db_test_late()", 0 };
static const struct db_stmt stmt_busy = { "busy", "SELECT public.db_test_busy($1)", 1 };
static const struct db_stmt stmt_star = { "star", "SELECT * FROM public.db_test_shape", 0 };
static const struct db_stmt stmt_pid = { "pid", "SELECT pg_backend_pid()::text", 0 };
static const struct db_stmt stmt_name = { "name",
	"SELECT current_setting('application_name') || ' ' || current_setting('statement_timeout')"
	"    || ' ' || current_setting('client_encoding')",
	0 };

static void
crash_server(void)
{
	sql("DO $$ BEGIN EXECUTE format('COPY (SELECT 1) TO PROGRAM %L', 'kill -9 ' || "
	    "pg_backend_pid()); END $$");
}

static void
test_order(void)
{
	struct seen seen;
	struct db *db = open_handle(&seen, conninfo);

	submit(&seen, &stmt_echo, "one", DB_REPEAT);
	submit(&seen, &stmt_echo, "two", DB_ONCE);
	submit(&seen, &stmt_bad, NULL, DB_REPEAT);
	submit(&seen, &stmt_echo, "three", DB_REPEAT);
	seen.at_up = &stmt_hello;
	is_int(db_pending(db), 4, "four statements are queued before there is a connection");
	is_int(db_fd(db), -1, "and no descriptor before the first run");
	ok(settle(db, 5000), "all four are answered");
	is_str(seen.order, "up hello one two relation \"nowhere\" does not exist three",
	    "what up() submits goes first, then the queue in order; a refused statement does not "
	    "hold up the next");
	ok(db_is_up(db) && db_age(db) < 5000, "the handle is up and knows its age");
	seen.order[0] = '\0';
	submit(&seen, &stmt_name, NULL, DB_REPEAT);
	submit(&seen, &stmt_echo, NULL, DB_REPEAT);
	settle(db, 5000);
	is_str(seen.order, "ferry-test 10s UTF8 ",
	    "the connection has the defaults, and NULL is NULL");
	db_free(db);
}

static void
test_up_once_per_connection(void)
{
	struct seen seen;
	struct db *db = open_handle(&seen, conninfo);

	seen.at_up = &stmt_slow;
	seen.at_up_mode = DB_REPEAT;
	while (seen.ups == 0)
		turn(db, 100);
	submit(&seen, &stmt_echo, "later", DB_REPEAT);
	run_for(db, 100);
	sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name "
	    "= 'ferry-test'");
	ok(settle(db, 5000), "a connection that ends during a statement of up() is made again");
	is_str(seen.order, "up down lost up slow later",
	    "the old connection's statement is lost with it, and not sent twice");
	db_free(db);
}

static void
test_notify(void)
{
	struct seen seen;
	struct db *db = open_handle(&seen, conninfo);
	int64_t before;

	seen.at_up = &stmt_listen;
	settle(db, 5000);
	sql("NOTIFY db_test, 'hey'");
	before = clock_ms();
	while (seen.notes == 0 && clock_ms() < before + 2000)
		turn(db, 100);
	is_int(seen.notes, 1, "a notification arrives at an idle handle");
	submit(&seen, &stmt_slow, NULL, DB_REPEAT);
	run_for(db, 50);
	sql("NOTIFY db_test, 'hey'");
	settle(db, 5000);
	run_for(db, 50);
	is_int(seen.notes, 2, "a notification during a statement is not lost");
	db_free(db);
}

static void
test_terminated(void)
{
	struct seen seen;
	struct db *db = open_handle(&seen, conninfo);

	sql("TRUNCATE db_test_log");
	settle(db, 5000);
	submit(&seen, &stmt_slow, NULL, DB_ONCE);
	submit(&seen, &stmt_append, "once", DB_ONCE);
	run_for(db, 100);
	sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name "
	    "= 'ferry-test'");
	ok(settle(db, 5000), "a terminated backend is replaced");
	is_str(seen.order, "up down lost up INSERT 0 1",
	    "DB_ONCE that was under way is lost; one not yet sent is sent");
	seen.order[0] = '\0';
	submit(&seen, &stmt_slow, NULL, DB_REPEAT);
	run_for(db, 100);
	sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name "
	    "= 'ferry-test'");
	ok(settle(db, 5000), "a second terminated backend is replaced");
	is_str(seen.order, "down up slow", "DB_REPEAT is sent again");
	is_int(sql("SELECT count(*) FROM db_test_log"), 1, "no statement took effect twice");
	ok(log_count("terminating connection due to administrator command") > 0,
	    "the log has the server's own reason");
	db_free(db);
}

static void
test_quiet(void)
{
	struct seen seen = { .downs = 0 };
	struct db_events events = {
		.up = on_up, .down = on_down, .notify = on_notify, .quiet = true, .arg = &seen
	};
	struct db *db = db_new(conninfo, "ferry-test", &events);
	int away = log_count("database away"), back = log_count("database back");

	seen.db = db;
	settle(db, 5000);
	sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name "
	    "= 'ferry-test'");
	while (seen.downs == 0)
		turn(db, 100);
	ok(settle(db, 5000), "a quiet handle comes back as well");
	is_str(seen.order, "up down up", "its owner is told");
	is_int(log_count("database away") - away + log_count("database back") - back, 0,
	    "the log has no line");
	db_free(db);
}

static void
test_crash(void)
{
	struct seen seen;
	struct db *db = open_handle(&seen, conninfo);
	char word[16];
	int i;

	sql("TRUNCATE db_test");
	settle(db, 5000);
	int away = log_count("database away"), back = log_count("database back");

	for (i = 0; i < 200; i++) {
		snprintf(word, sizeof(word), "%d", i);
		submit(&seen, &stmt_add, word, DB_REPEAT);
		if (i == 100)
			submit(&seen, &stmt_slow, NULL, DB_REPEAT);
	}
	while (db_pending(db) > 100)
		turn(db, 100);
	crash_server();
	ok(settle(db, 20000), "the queue is emptied after a crash in the middle of it");
	is_int(sql("SELECT count(*) FROM db_test"), 200, "every statement took effect");
	is_int(sql("SELECT count(*) FROM (SELECT word::int < lag(word::int) OVER (ORDER BY id) AS "
		   "back FROM db_test) q "
		   "WHERE back"),
	    0, "in the order of submission");
	is_int(seen.downs, 1, "the owner is told once");
	is_int(seen.ups, 2, "the owner is told once that the database is back");
	is_int(log_count("database away") - away, 1, "the log says once that it is away");
	is_int(log_count("database back after") - back, 1, "and once that it is back");
	db_free(db);
}

static void
test_retry(void)
{
	struct seen seen;
	struct db *db = open_handle(&seen, conninfo);

	settle(db, 5000);
	seen.order[0] = '\0';
	sql("SELECT setval('db_test_tries', 1, false)");
	submit(&seen, &stmt_busy, "3", DB_ONCE);
	submit(&seen, &stmt_echo, "next", DB_ONCE);
	settle(db, 5000);
	is_str(seen.order, "3 next",
	    "a serialization failure is tried again, and what follows waits for it");
	seen.order[0] = '\0';
	submit(&seen, &stmt_busy, "1000000", DB_REPEAT);
	submit(&seen, &stmt_echo, "next", DB_REPEAT);
	settle(db, 5000);
	is_str(seen.order, "busy next", "the tries end");
	seen.order[0] = '\0';
	sql("SELECT setval('db_test_tries', 1, false)");
	submit(&seen, &stmt_late, NULL, DB_REPEAT);
	settle(db, 5000);
	is_str(seen.order, "late", "a statement that times out is given up sooner");
	is_int(sql("SELECT last_value FROM db_test_tries"), 2, "after the second time-out");
	db_free(db);
}

static void
test_upgraded_shape(void)
{
	struct seen seen;
	struct db *db = open_handle(&seen, conninfo);

	submit(&seen, &stmt_star, NULL, DB_ONCE);
	settle(db, 5000);
	sql("ALTER TABLE db_test_shape ADD b text");
	submit(&seen, &stmt_star, NULL, DB_ONCE);
	settle(db, 5000);
	is_str(seen.order, "up x up x",
	    "a statement whose table got a column is prepared anew on a new connection");
	is_int(seen.downs, 0, "this is no outage");
	db_free(db);
}

static void
test_renew(void)
{
	struct seen seen;
	struct db *db = open_handle(&seen, conninfo);
	long first, second;

	settle(db, 5000);
	seen.order[0] = '\0';
	submit(&seen, &stmt_pid, NULL, DB_ONCE);
	db_renew(db);
	settle(db, 5000);
	first = strtol(seen.order, NULL, 10);
	while (seen.ups < 2)
		turn(db, 100);
	seen.order[0] = '\0';
	submit(&seen, &stmt_pid, NULL, DB_ONCE);
	settle(db, 5000);
	second = strtol(seen.order, NULL, 10);
	ok(first > 0 && second > 0 && first != second,
	    "a renewed handle has another backend (%ld, %ld)", first, second);
	ok(seen.downs == 0,
	    "pending statements are answered first, and the owner is told of no outage");
	db_free(db);
}

static void
test_park(void)
{
	struct seen seen;
	struct db *db = open_handle(&seen, conninfo);

	db_park(db);
	db_run(db);
	submit(&seen, &stmt_echo, "one", DB_REPEAT);
	run_for(db, 200);
	ok(db_is_parked(db) && db_fd(db) == -1 && seen.ups == 0,
	    "a parked handle has no connection");
	db_unpark(db);
	ok(settle(db, 5000), "it has one when it is told to go on");
	is_str(seen.order, "up one", "and what was queued meanwhile is sent");
	submit(&seen, &stmt_slow, NULL, DB_ONCE);
	submit(&seen, &stmt_echo, "two", DB_ONCE);
	run_for(db, 100);
	db_park(db);
	while (!db_is_parked(db))
		turn(db, 100);
	is_str(
	    seen.order, "up one slow", "the statement under way is answered before it is closed");
	is_int(seen.downs, 0, "which is no outage");
	db_drop(db);
	is_str(seen.order, "up one slow lost", "what waits can be dropped");
	is_int(db_pending(db), 0, "and nothing is pending then");
	db_free(db);
}

static void
test_cut(void)
{
	int away = log_count("database away");
	struct seen seen;
	struct db *db = open_handle(&seen, conninfo);

	settle(db, 5000);
	run_for(db, 2100);
	shutdown(db_fd(db), SHUT_RDWR);
	while (seen.ups < 2)
		turn(db, 100);
	is_str(seen.order, "up down up", "an idle connection that is cut is made anew");
	is_int(log_count("database away") - away, 0, "and the log does not call it an outage");
	submit(&seen, &stmt_slow, NULL, DB_REPEAT);
	run_for(db, 2100);
	submit(&seen, &stmt_slow, NULL, DB_REPEAT);
	run_for(db, 100);
	shutdown(db_fd(db), SHUT_RDWR);
	settle(db, 5000);
	is_int(log_count("database away") - away, 1, "one that is cut in a statement is an outage");
	db_free(db);
}

static const char drop[] = "DROP TABLE IF EXISTS db_test, db_test_log, db_test_shape;"
			   "DROP SEQUENCE IF EXISTS db_test_tries;"
			   "DROP FUNCTION IF EXISTS db_test_busy, db_test_late;";

/* busy() collides until it has been called so many times; late() runs out of time.  A sequence
 * counts the calls, since it is not rolled back. */
static const char create[] =
    "CREATE TABLE db_test (id serial, word text UNIQUE);"
    "CREATE TABLE db_test_log (word text);"
    "CREATE TABLE db_test_shape AS SELECT 'x'::text AS a;"
    "CREATE SEQUENCE db_test_tries;"
    "CREATE FUNCTION db_test_busy(want text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN"
    "  IF nextval('public.db_test_tries') < want::bigint THEN"
    "    RAISE 'busy' USING ERRCODE = '40001';"
    "  END IF;"
    "  RETURN want;"
    "END $$;"
    "CREATE FUNCTION db_test_late() RETURNS text LANGUAGE plpgsql AS $$ BEGIN"
    "  PERFORM nextval('public.db_test_tries');"
    "  RAISE 'late' USING ERRCODE = '57014';"
    "END $$;";

int
main(void)
{
	if (!begin())
		return 0;
	sql(drop);
	sql(create);
	test_order();
	test_up_once_per_connection();
	test_notify();
	test_terminated();
	test_quiet();
	test_retry();
	test_upgraded_shape();
	test_renew();
	test_park();
	test_cut();
	test_crash();
	sql(drop);
	return end();
}
