/*
 * ferryctl migrate: brings the schema to the newest version that there is a file for.  Each
 * schema-NNN.sql is one transaction together with its row in ferry.schema_version; an advisory lock
 * keeps a second migration waiting.
 */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/db.h"
#include "master/ctl/ctl.h"

#define PATH_SIZE 4096
#define FILE_MAX (4 << 20)
#define VERSIONS_MAX 999

static void
schema_file(char *path, const char *dir, int version)
{
	snprintf(path, PATH_SIZE, "%s/schema-%03d.sql", dir, version);
}

static bool
has_schema(const char *dir)
{
	char path[PATH_SIZE];

	schema_file(path, dir, 1);
	return access(path, R_OK) == 0;
}

/* $FERRY_SCHEMA_DIR, else ../etc from the program (a build that is not installed), else where 'make
 * install' puts them. */
static int
find_dir(char *dir, size_t size)
{
	const char *env = getenv("FERRY_SCHEMA_DIR");
	char program[PATH_SIZE / 2];
	ssize_t len;
	char *slash;

	if (env != NULL) {
		strlcpy(dir, env, size);
	} else {
		len = readlink("/proc/self/exe", program, sizeof(program) - 1);
		program[len > 0 ? len : 0] = '\0';
		if ((slash = strrchr(program, '/')) != NULL)
			*slash = '\0';
		snprintf(dir, size, "%s/../etc", program);
		if (!has_schema(dir))
			strlcpy(dir, FERRY_DATADIR, size);
	}
	if (has_schema(dir))
		return 0;
	warnx("no schema-001.sql in %s; $FERRY_SCHEMA_DIR can name the directory", dir);
	return -1;
}

static int
newest_version(const char *dir)
{
	char path[PATH_SIZE];
	int version = 0;

	do
		schema_file(path, dir, ++version);
	while (version <= VERSIONS_MAX && access(path, F_OK) == 0);
	return version - 1;
}

/* The whole file as a string on the heap, or NULL after it has said why. */
static char *
read_file(const char *path)
{
	FILE *f = fopen(path, "re");
	struct stat st;
	char *text = NULL;

	if (f == NULL || fstat(fileno(f), &st) == -1) {
		warn("%s", path);
	} else if (st.st_size > FILE_MAX || (text = malloc((size_t)st.st_size + 1)) == NULL) {
		warnx("%s: too large", path);
	} else if (fread(text, 1, (size_t)st.st_size, f) != (size_t)st.st_size) {
		warnx("%s: cannot be read to its end", path);
		free(text);
		text = NULL;
	} else {
		text[st.st_size] = '\0';
	}
	if (f != NULL)
		fclose(f);
	return text;
}

/* Says what went wrong in which line of the file, and what right is missing if that is it. */
static void
explain(const PGresult *res, const char *path, const char *text)
{
	const char *position = PQresultErrorField(res, PG_DIAG_STATEMENT_POSITION), *p;
	long characters = position != NULL ? strtol(position, NULL, 10) : 0;
	char where[PATH_SIZE + 16], message[1024];
	int line = 1;

	/* The position counts characters: bytes that continue one do not count. */
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

static int
run(struct ctl *ctl, const char *sql, const char *where)
{
	PGresult *res = PQexec(ctl->conn, sql);
	int ret = db_error_class(res) == DB_ERR_NONE ? 0 : -1;

	if (ret == -1)
		explain(res, where, sql);
	PQclear(res);
	return ret;
}

/* The schema's version, 0 if there is none, -1 after it has said why it cannot be known. */
static int
present_version(struct ctl *ctl)
{
	PGresult *res =
	    PQexec(ctl->conn, "SELECT pg_catalog.to_regclass('ferry.schema_version') IS NOT NULL");
	int version = -1;

	if (db_error_class(res) == DB_ERR_NONE && PQgetvalue(res, 0, 0)[0] == 't') {
		PQclear(res);
		res =
		    PQexec(ctl->conn, "SELECT coalesce(max(version), 0) FROM ferry.schema_version");
		if (db_error_class(res) == DB_ERR_NONE)
			version = (int)strtol(PQgetvalue(res, 0, 0), NULL, 10);
	} else if (db_error_class(res) == DB_ERR_NONE) {
		version = 0;
	}
	if (version == -1)
		explain(res, "schema", "");
	PQclear(res);
	return version;
}

/* One file, one transaction.  Returns 0, or -1 with nothing changed. */
static int
apply(struct ctl *ctl, const char *dir, int version)
{
	char path[PATH_SIZE], insert[128];
	char *text;
	int ret = -1;

	schema_file(path, dir, version);
	if ((text = read_file(path)) == NULL)
		return -1;
	snprintf(insert, sizeof(insert), "INSERT INTO ferry.schema_version (version) VALUES (%d)",
	    version);
	if (run(ctl, "BEGIN", path) == 0 && run(ctl, text, path) == 0 &&
	    run(ctl, insert, path) == 0 && run(ctl, "COMMIT", path) == 0)
		ret = 0;
	free(text);
	if (ret == -1 && PQstatus(ctl->conn) == CONNECTION_OK)
		run(ctl, "ROLLBACK", path);
	return ret;
}

/* With the lock held. */
static int
migrate(struct ctl *ctl, const char *dir)
{
	int known = newest_version(dir), before = present_version(ctl), version;

	if (before == -1)
		return ctl_exit_code(ctl);
	if (before > known) {
		warnx(
		    "the database has schema version %d, newer than version %d that is known here; "
		    "install the ferryctl that belongs to it",
		    before, known);
		return CTL_FAILED;
	}
	for (version = before + 1; version <= known; version++)
		if (apply(ctl, dir, version) == -1)
			return ctl_exit_code(ctl);
	if (before == known)
		printf("schema: version %d, nothing to do\n", known);
	else
		printf("schema: version %d → %d\n", before, known);
	return 0;
}

int
ctl_migrate(struct ctl *ctl, int argc, char **argv)
{
	char dir[PATH_SIZE - 32];
	int code;

	(void)argv;
	if (argc != 1)
		return CTL_USAGE;
	if (find_dir(dir, sizeof(dir)) == -1)
		return EX_CONFIG;
	if ((code = ctl_connect(ctl)) != 0)
		return code;
	if (run(ctl,
		"SET client_min_messages = warning; SET statement_timeout = 0; SET lock_timeout = "
		"0",
		"session") == -1 ||
	    run(ctl, "SELECT pg_catalog.pg_advisory_lock(pg_catalog.hashtext('ferry migrate'))",
		"lock") == -1)
		return ctl_exit_code(ctl);
	return migrate(ctl, dir); /* the lock ends with the connection */
}
