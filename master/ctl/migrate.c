/*
 * ferryctl migrate: brings the schema to the newest version that there is a file for, in one
 * transaction.  An empty database gets schema.sql.  An older one gets upgrade-NNN.sql of each
 * version that it lacks, and then part 2 of schema.sql, which replaces functions, triggers, views
 * and rights.
 *
 * Whoever asks for a table that somebody else waits to lock waits behind him.  So the transaction
 * waits for a lock no longer than LOCK_TIMEOUT.  Then it gives all its locks back, pauses, and
 * begins again.  An advisory lock keeps a second migration waiting.  All locks and settings end
 * with the transaction, so that a pooler's server keeps none.
 */
#include <err.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/db/db.h"
#include "master/ctl/ctl.h"
#include "master/ctl/schema.h"

#define LOCK_TIMEOUT "200ms"
#define PAUSE_MS 300 /* between two attempts, up to twice as long */
#define ATTEMPTS_MAX 1200
#define POSTGRESQL_OLDEST 15

/* Begins a line of schema.sql: what follows replaces what is there. */
#define PART_2 "\n-- ==== Part 2:"

/*
 * Prints what the database refused, the line of the file, and the right that is missing if that is
 * the reason.  text is what was sent of the file.
 */
static void
explain(const PGresult *res, const char *path, const char *text)
{
	const char *position = PQresultErrorField(res, PG_DIAG_STATEMENT_POSITION), *p;
	long characters = position != NULL ? strtol(position, NULL, 10) : 0;
	char where[SCHEMA_PATH_MAX + 16], message[1024];
	int line = 1;

	/* The position counts characters; a byte that continues a character does not count. */
	for (p = text; *p != '\0' && characters > 1; p++) {
		line += *p == '\n';
		characters -= ((unsigned char)p[1] & 0xc0) != 0x80;
	}
	snprintf(where, sizeof(where), position != NULL ? "%s:%d" : "%s", path, line);
	warnx("%s: %s", where, db_error_message(res, message, sizeof(message)));
	if (db_error_class(res) == DB_ERR_ACCESS)
		warnx("migrate as the owner of the database, and the first time as a role that may "
		      "create roles");
}

/* The state of one attempt. */
struct attempt {
	const char *dir;
	int known; /* the newest version of the files */
	int before; /* the version of the database */
	bool plan_only;
	bool told; /* the plan was printed */
	bool busy; /* a lock was not to be had: another attempt may get it */
	bool complained; /* it was said that locks are waited for */
	int64_t locked_at; /* when the tables were locked, on clock_ms() */
};

static int
run(struct ctl *ctl, struct attempt *a, const char *sql, const char *where)
{
	PGresult *res = PQexec(ctl->conn, sql);
	enum db_error error = db_error_class(res);

	a->busy |= error == DB_ERR_RETRY;
	if (error != DB_ERR_NONE && error != DB_ERR_RETRY)
		explain(res, where, sql);
	PQclear(res);
	return error == DB_ERR_NONE ? 0 : -1;
}

/* Columns of answers. */
enum { ANSWER };
enum { SEQUENCE, MEND };

/* Returns the schema's version, 0 if there is none, or -1 after printing why it is not known. */
static int
present_version(struct ctl *ctl)
{
	PGresult *res =
	    PQexec(ctl->conn, "SELECT pg_catalog.to_regclass('ferry.schema_version') IS NOT NULL");
	int version = -1;

	if (db_error_class(res) == DB_ERR_NONE && PQgetvalue(res, 0, ANSWER)[0] == 't') {
		PQclear(res);
		res =
		    PQexec(ctl->conn, "SELECT coalesce(max(version), 0) FROM ferry.schema_version");
		if (db_error_class(res) == DB_ERR_NONE)
			version = (int)strtol(PQgetvalue(res, 0, ANSWER), NULL, 10);
	} else if (db_error_class(res) == DB_ERR_NONE) {
		version = 0;
	}
	if (version == -1)
		explain(res, "schema", "");
	PQclear(res);
	return version;
}

/* Leaves only the line ends of what stands before part 2, so that explain() finds lines right. */
static int
keep_part_2(char *text, const char *path)
{
	char *part = strstr(text, PART_2), *p;

	if (part == NULL) {
		warnx("%s: no line begins with \"%s\"", path, &PART_2[1]);
		return -1;
	}
	for (p = text; p < part; p++)
		if (*p != '\n')
			*p = ' ';
	return 0;
}

/* Returns 0, or -1 after printing the reason. */
static int
run_file(struct ctl *ctl, struct attempt *a, const char *path, bool only_part_2)
{
	char *text = schema_read(path);
	int ret;

	if (text == NULL)
		return -1;
	ret = only_part_2 ? keep_part_2(text, path) : 0;
	if (ret == 0)
		ret = run(ctl, a, text, path);
	free(text);
	return ret;
}

/* Before version 12 the table does not have the column: versions are noted after all files. */
static int
note_version(struct ctl *ctl, struct attempt *a, int version, const char *path)
{
	char insert[160], *text = schema_read(path);

	if (text == NULL)
		return -1;
	snprintf(insert, sizeof(insert),
	    "INSERT INTO ferry.schema_version (version, compatible_from) VALUES (%d, %d)", version,
	    schema_compatible_from(text, version));
	free(text);
	return run(ctl, a, insert, path);
}

static int
create(struct ctl *ctl, struct attempt *a)
{
	char path[SCHEMA_PATH_MAX], upgrade[SCHEMA_PATH_MAX];

	schema_file(path, a->dir);
	schema_upgrade_file(upgrade, a->dir, a->known);
	if (run_file(ctl, a, path, false) == -1)
		return -1;
	return note_version(ctl, a, a->known, upgrade);
}

static int
upgrade(struct ctl *ctl, struct attempt *a)
{
	char path[SCHEMA_PATH_MAX];
	int version;

	for (version = a->before + 1; version <= a->known; version++) {
		schema_upgrade_file(path, a->dir, version);
		if (run_file(ctl, a, path, false) == -1)
			return -1;
	}
	for (version = a->before + 1; version <= a->known; version++) {
		schema_upgrade_file(path, a->dir, version);
		if (note_version(ctl, a, version, path) == -1)
			return -1;
	}
	schema_file(path, a->dir);
	return run_file(ctl, a, path, true);
}

/* Says what each version brings and what it locks, in the words of its file. */
static int
print_plan(struct attempt *a)
{
	char path[SCHEMA_PATH_MAX], *text;
	int version;

	printf("schema: version %d, the newest is %d\n", a->before, a->known);
	if (a->before == 0)
		printf("  The schema is made, in a transaction that locks nothing else.\n");
	for (version = a->before + 1; a->before > 0 && version <= a->known; version++) {
		schema_upgrade_file(path, a->dir, version);
		if ((text = schema_read(path)) == NULL)
			return -1;
		schema_print_head(text);
		free(text);
	}
	if (a->before > 0)
		printf("  All tables of the schema are locked meanwhile, in one transaction: "
		       "producers and nodes wait.\n");
	fflush(stdout);
	a->told = true;
	return 0;
}

/* All at once and in front of the work, so that no work is done in vain for want of a lock. */
static int
lock_tables(struct ctl *ctl, struct attempt *a)
{
	static const char lock[] =
	    "DO $$ DECLARE tables text := (SELECT pg_catalog.string_agg(c.oid::pg_catalog.regclass"
	    "::text, ', ' ORDER BY c.relname) FROM pg_catalog.pg_class c "
	    "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
	    "WHERE n.nspname = 'ferry' AND c.relkind IN ('r', 'p') AND NOT c.relispartition); "
	    "BEGIN EXECUTE 'LOCK TABLE ' || tables || ' IN ACCESS EXCLUSIVE MODE'; END $$";
	int ret = a->before == 0 ? 0 : run(ctl, a, lock, "lock");

	a->locked_at = clock_ms();
	return ret;
}

/*
 * Texts of a UTF8 database alone can all be read, and all that stores say can be written.  Returns
 * whether the database has this encoding; prints what to do if not.
 */
static bool
has_encoding(struct ctl *ctl, bool required)
{
	PGresult *res = PQexec(ctl->conn, "SELECT pg_catalog.getdatabaseencoding()");
	bool known = db_error_class(res) == DB_ERR_NONE;
	bool fits = known && strcmp(PQgetvalue(res, 0, ANSWER), "UTF8") == 0;

	if (!known)
		explain(res, "encoding", "");
	else if (!fits)
		warnx("the database has the encoding %s: %s; the encoding that can be served is "
		      "UTF8: \"createdb -E UTF8 -T template0 NAME\"",
		    PQgetvalue(res, 0, ANSWER),
		    required ? "it gets no schema"
			     : "tasks with bytes that are not UTF-8 will fail");
	PQclear(res);
	return fits;
}

/*
 * Views with the option security_invoker show producers their own tasks.  Version 15 is the first
 * that knows it.
 */
static bool
has_version(const PGconn *conn)
{
	bool fits = PQserverVersion(conn) >= POSTGRESQL_OLDEST * 10000;

	if (!fits)
		warnx("the server is PostgreSQL %d; the schema needs version %d or a later one",
		    PQserverVersion(conn) / 10000, POSTGRESQL_OLDEST);
	return fits;
}

/* Names the sequences that would give ids which tasks have already. */
static int
check_sequences(struct ctl *ctl)
{
	PGresult *res = PQexec(ctl->conn, "SELECT sequence, mend FROM ferry.sequences_behind()");
	bool known = db_error_class(res) == DB_ERR_NONE;
	int i;

	if (!known)
		explain(res, "sequences", "");
	for (i = 0; known && i < PQntuples(res); i++)
		warnx("the sequence %s gives ids that tasks have already: run \"%s\"",
		    PQgetvalue(res, i, SEQUENCE), PQgetvalue(res, i, MEND));
	PQclear(res);
	return known ? 0 : ctl_exit_code(ctl);
}

/* Looks at the database, which no other migration changes meanwhile.  Returns 0, or an exit code.
 */
static int
look(struct ctl *ctl, struct attempt *a)
{
	a->known = schema_newest(a->dir);
	a->before = present_version(ctl);
	if (a->before == -1)
		return ctl_exit_code(ctl);
	if (a->before > a->known) {
		warnx(
		    "the database has schema version %d, newer than version %d that is known here; "
		    "install the ferryctl that belongs to it",
		    a->before, a->known);
		return CTL_FAILED;
	}
	if (!has_version(ctl->conn))
		return CTL_FAILED;
	if (!has_encoding(ctl, a->before == 0) && a->before == 0)
		return CTL_FAILED;
	return 0;
}

static int
apply(struct ctl *ctl, struct attempt *a)
{
	int ret;

	if (!a->told && print_plan(a) == -1)
		return CTL_FAILED;
	if (a->plan_only)
		return 0;
	ret = lock_tables(ctl, a);
	if (ret == 0)
		ret = a->before == 0 ? create(ctl, a) : upgrade(ctl, a);
	return ret == -1 ? ctl_exit_code(ctl) : 0;
}

/* One transaction.  Returns 0, or an exit code with nothing changed. */
static int
try(struct ctl *ctl, struct attempt *a)
{
	static const char begin[] = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;"
				    "SET LOCAL search_path = pg_catalog, pg_temp;"
				    "SET LOCAL client_min_messages = warning;"
				    "SET LOCAL standard_conforming_strings = on;"
				    "SET LOCAL check_function_bodies = on;"
				    "SET LOCAL row_security = off;"
				    "SET LOCAL statement_timeout = 0;"
				    "SET LOCAL lock_timeout = '" LOCK_TIMEOUT "'";
	static const char lock[] =
	    "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('ferry migrate'))";
	int code = 0;

	a->busy = false;
	if (run(ctl, a, begin, "transaction") == -1 || run(ctl, a, lock, "lock") == -1)
		code = ctl_exit_code(ctl);
	if (code == 0)
		code = look(ctl, a);
	if (code == 0 && a->before != a->known)
		code = apply(ctl, a);
	if (code == 0 && run(ctl, a, "COMMIT", "transaction") == -1)
		code = ctl_exit_code(ctl);
	if (code != 0 && PQstatus(ctl->conn) == CONNECTION_OK)
		PQclear(PQexec(ctl->conn, "ROLLBACK"));
	return code;
}

/* As often as a lock is not to be had. */
static int
migrate(struct ctl *ctl, struct attempt *a)
{
	int i, code = 0;

	for (i = 0; i < ATTEMPTS_MAX; i++) {
		code = try(ctl, a);
		if (code == 0 || !a->busy || PQstatus(ctl->conn) != CONNECTION_OK)
			return code;
		if (!a->complained)
			warnx("others hold locks on the schema; will try again");
		a->complained = true;
		usleep((PAUSE_MS + arc4random_uniform(PAUSE_MS)) * 1000);
	}
	warnx("others held locks on the schema all the time: nothing has changed; end the "
	      "transactions that the view pg_locks names, and migrate again");
	return code;
}

int
ctl_migrate(struct ctl *ctl, int argc, char **argv)
{
	char dir[SCHEMA_PATH_MAX - 32];
	struct attempt a = { .dir = dir };
	int code, opt;

	while ((opt = getopt(argc, argv, "n")) != -1) {
		if (opt != 'n')
			return CTL_USAGE;
		a.plan_only = true;
	}
	if (argc != optind)
		return CTL_USAGE;
	if (schema_find_dir(dir, sizeof(dir)) == -1)
		return EX_CONFIG;
	ctl->leaves_no_trace = true;
	if ((code = ctl_connect(ctl)) != 0 || (code = migrate(ctl, &a)) != 0)
		return code;
	if (a.before == a.known)
		printf("schema: version %d, nothing to do\n", a.known);
	else if (!a.plan_only)
		printf("schema: version %d → %d, tables were locked for %" PRId64 " ms\n", a.before,
		    a.known, clock_ms() - a.locked_at);
	return a.plan_only && a.before != a.known ? 0 : check_sequences(ctl);
}
