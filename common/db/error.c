/*
 * The meaning of the database's errors, and the verdict on the schema's version.
 */
#include "common/db/private.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct db_stmt db_stmt_schema_version = {
	"schema_version",
	/*
	 * A schema before version 12 does not have the column compatible_from.
	 *
	 * The last column names the tables whose rows a policy hides from us.  The schema's own
	 * policy "daemon" shows all of them, unless a restrictive policy stands beside it.
	 */
	"SELECT v.version::text, to_jsonb(v) ->> 'compatible_from', "
	"(SELECT string_agg('ferry.' || c.relname, ', ' ORDER BY c.relname) "
	"FROM pg_class c "
	"WHERE c.relnamespace = 'ferry'::regnamespace "
	"AND NOT c.relispartition "
	"AND row_security_active(c.oid) "
	"AND (NOT EXISTS (SELECT FROM pg_policy p "
	"WHERE p.polrelid = c.oid AND p.polname = 'daemon' "
	"AND pg_get_expr(p.polqual, p.polrelid) = 'true') "
	"OR EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND NOT p.polpermissive))) "
	"FROM ferry.schema_version v "
	"ORDER BY v.version DESC LIMIT 1",
	0,
};

/* The first match counts, so exact states stand before their classes of two characters. */
static const struct {
	const char *state;
	enum db_error error;
} classes[] = {
	{ "40001", DB_ERR_RETRY }, /* serialization_failure */
	{ "40P01", DB_ERR_RETRY }, /* deadlock_detected */
	{ "55P03", DB_ERR_RETRY }, /* lock_not_available */
	{ "57014", DB_ERR_RETRY }, /* query_canceled: statement_timeout, or an administrator */
	{ "57P", DB_ERR_CONNECTION }, /* shutdown, crash, start-up, database dropped, idle time */
	{ "25006", DB_ERR_CONNECTION }, /* read_only_sql_transaction: a standby by now */
	{ "08", DB_ERR_CONNECTION },
	{ "53", DB_ERR_RESOURCES },
	{ "28", DB_ERR_ACCESS },
	{ "42501", DB_ERR_ACCESS },
	{ "42P01", DB_ERR_SCHEMA }, /* undefined_table */
	{ "42703", DB_ERR_SCHEMA }, /* undefined_column */
	{ "42704", DB_ERR_SCHEMA }, /* undefined_object: a type */
	{ "42883", DB_ERR_SCHEMA }, /* undefined_function */
	{ "3F000", DB_ERR_SCHEMA }, /* invalid_schema_name */
	{ "22", DB_ERR_DATA },
	{ "23", DB_ERR_DATA },
};

enum db_error
db_error_class(const PGresult *res)
{
	const char *state;
	size_t i;

	switch (PQresultStatus(res)) {
	case PGRES_COMMAND_OK:
	case PGRES_TUPLES_OK:
	case PGRES_SINGLE_TUPLE:
	case PGRES_EMPTY_QUERY:
		return DB_ERR_NONE;
	default:
		break;
	}
	/* Errors of libpq itself have no SQLSTATE: the connection broke. */
	if (res == NULL || (state = PQresultErrorField(res, PG_DIAG_SQLSTATE)) == NULL)
		return DB_ERR_CONNECTION;
	for (i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
		if (strncmp(state, classes[i].state, strlen(classes[i].state)) == 0)
			return classes[i].error;
	return DB_ERR_OTHER;
}

char *
db_one_line(const char *message, char *buf, size_t size)
{
	const char *line = message, *end;
	size_t len = 0;

	buf[0] = '\0';
	for (; line != NULL && *line != '\0'; line = *end == '\0' ? NULL : end + 1) {
		end = line + strcspn(line, "\n");
		if (end == line || *line == '\t')
			continue;
		if (len > 0 && (size_t)(end - line) <= len &&
		    strncmp(buf + len - (end - line), line, (size_t)(end - line)) == 0)
			continue; /* the same error, with TLS and without */
		snprintf(
		    buf + len, size - len, "%s%.*s", len > 0 ? "; " : "", (int)(end - line), line);
		len = strlen(buf);
	}
	while (len > 0 && isspace((unsigned char)buf[len - 1]))
		buf[--len] = '\0';
	return buf;
}

/*
 * Only the primary message is used.  Details and contexts quote values of rows, and a source's URL
 * may carry a signature.
 */
char *
db_error_message(const PGresult *res, char *buf, size_t size)
{
	const char *primary;

	if (res == NULL) {
		strlcpy(buf, "the connection was lost", size);
		return buf;
	}
	primary = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	return db_one_line(primary != NULL ? primary : PQresultErrorMessage(res), buf, size);
}

/*
 * The name in a line "PL/pgSQL function NAME(TYPES) line 7 at RAISE" of a context.  Returns its
 * length, or 0 if the line is another one, or is about a function of ferry's own.
 */
static int
foreign_function(const char *line, const char **name)
{
	static const char begins[] = "PL/pgSQL function ";
	size_t len;

	if (strncmp(line, begins, strlen(begins)) != 0)
		return 0;
	*name = line + strlen(begins);
	len = strcspn(*name, "(\n");
	return (*name)[len] == '(' && strncmp(*name, "ferry.", 6) != 0 ? (int)len : 0;
}

char *
db_error_origin(const PGresult *res, char *buf, size_t size)
{
	const char *line = res != NULL ? PQresultErrorField(res, PG_DIAG_CONTEXT) : NULL, *name;
	size_t used;
	int len;

	db_error_message(res, buf, size);
	used = strlen(buf);
	for (; line != NULL; line = (line = strchr(line, '\n')) != NULL ? line + 1 : NULL)
		if ((len = foreign_function(line, &name)) > 0)
			snprintf(buf + used, size - used, " (raised in %.*s())", len, name);
	return buf;
}

/* Why the version cannot be read, and the remedy. */
static const char *
verdict_of_error(const PGresult *res, char *buf, size_t size)
{
	char message[DB_WHY_MAX];

	db_error_message(res, message, sizeof(message));
	switch (db_error_class(res)) {
	case DB_ERR_SCHEMA:
		strlcpy(buf, "the database has no ferry schema; run \"ferryctl migrate\"", size);
		break;
	case DB_ERR_ACCESS:
		snprintf(buf, size,
		    "the schema version cannot be read: %s; run \"ferryctl migrate\" if the schema "
		    "is missing, else GRANT ferry_daemon to this role",
		    message);
		break;
	default:
		snprintf(buf, size, "the schema version cannot be read: %s", message);
		break;
	}
	return buf;
}

/* The columns of db_stmt_schema_version. */
enum { VERSION, COMPATIBLE_FROM, HIDDEN };

int
db_schema_version(const PGresult *res)
{
	const char *errstr;

	if (PQntuples(res) != 1 || PQgetisnull(res, 0, VERSION))
		return 0;
	return (int)strtonum(PQgetvalue(res, 0, VERSION), 0, 1000000, &errstr);
}

/* A policy can hide rows from the daemon.  It would never claim them, and no line would say so. */
static const char *
verdict_of_policies(const PGresult *res, char *buf, size_t size)
{
	if (PQgetisnull(res, 0, HIDDEN))
		return NULL;
	snprintf(buf, size,
	    "a row-level security policy hides rows of %s from this role; drop the policy, switch "
	    "row level security off, or give the role BYPASSRLS",
	    PQgetvalue(res, 0, HIDDEN));
	return buf;
}

const char *
db_schema_verdict(enum db_status status, const PGresult *res, char *buf, size_t size)
{
	const char *errstr;
	int version, from;

	if (status == DB_LOST)
		return NULL;
	if (status != DB_OK)
		return verdict_of_error(res, buf, size);
	from = version = db_schema_version(res);
	if (version > 0 && !PQgetisnull(res, 0, COMPATIBLE_FROM))
		from = (int)strtonum(PQgetvalue(res, 0, COMPATIBLE_FROM), 0, 1000000, &errstr);
	if (from <= DB_SCHEMA_VERSION && DB_SCHEMA_VERSION <= version)
		return verdict_of_policies(res, buf, size);
	if (version < DB_SCHEMA_VERSION)
		snprintf(buf, size,
		    "the database has schema version %d, older than version %d that this program "
		    "needs; run \"ferryctl migrate\"",
		    version, DB_SCHEMA_VERSION);
	else
		snprintf(buf, size,
		    "the database has schema version %d, which does not serve programs of version "
		    "%d; install the ferryd that belongs to it (\"ferryctl migrate\" cannot go "
		    "back)",
		    version, DB_SCHEMA_VERSION);
	return buf;
}
