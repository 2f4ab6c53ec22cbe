/*
 * What an error of the database means: classes of SQLSTATE, messages on one line, the verdict on
 * the schema.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/db_internal.h"

const struct db_stmt db_stmt_schema_version = {
    "schema_version",
    "SELECT max(version)::text FROM ferry.schema_version",
    0,
};

/* The first match counts, so exact states stand before the classes (two characters) that they
 * belong to. */
static const struct {
	const char *state;
	enum db_error error;
} classes[] = {
    {"40001", DB_ERR_RETRY}, /* serialization_failure */
    {"40P01", DB_ERR_RETRY}, /* deadlock_detected */
    {"55P03", DB_ERR_RETRY}, /* lock_not_available */
    {"57014", DB_ERR_RETRY}, /* query_canceled: statement_timeout, or an administrator */
    {"57P", DB_ERR_CONNECTION}, /* shutdown, crash, starting up, database dropped, idle too long */
    {"25006", DB_ERR_CONNECTION}, /* read_only_sql_transaction: this server is a standby now */
    {"08", DB_ERR_CONNECTION},
    {"53", DB_ERR_RESOURCES},
    {"28", DB_ERR_ACCESS},
    {"42501", DB_ERR_ACCESS},
    {"42P01", DB_ERR_SCHEMA}, /* undefined_table */
    {"42703", DB_ERR_SCHEMA}, /* undefined_column */
    {"42704", DB_ERR_SCHEMA}, /* undefined_object: a type */
    {"42883", DB_ERR_SCHEMA}, /* undefined_function */
    {"3F000", DB_ERR_SCHEMA}, /* invalid_schema_name */
    {"22", DB_ERR_DATA},
    {"23", DB_ERR_DATA},
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
	/* libpq's own errors have no SQLSTATE: the connection broke, or there is no result at all.
	 */
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
			continue; /* with and without TLS, the same */
		snprintf(
		    buf + len, size - len, "%s%.*s", len > 0 ? "; " : "", (int)(end - line), line);
		len = strlen(buf);
	}
	while (len > 0 && isspace((unsigned char)buf[len - 1]))
		buf[--len] = '\0';
	return buf;
}

/*
 * The primary message only: details and contexts quote values of rows, and a source URL may carry a
 * signature.
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
		    "is missing, "
		    "else GRANT ferry_daemon to this role",
		    message);
		break;
	default:
		snprintf(buf, size, "the schema version cannot be read: %s", message);
		break;
	}
	return buf;
}

const char *
db_schema_verdict(enum db_status status, const PGresult *res, char *buf, size_t size)
{
	const char *errstr;
	int version = 0;

	if (status == DB_LOST)
		return NULL;
	if (status != DB_OK)
		return verdict_of_error(res, buf, size);
	if (PQntuples(res) == 1 && !PQgetisnull(res, 0, 0))
		version = (int)strtonum(PQgetvalue(res, 0, 0), 0, 1000000, &errstr);
	if (version == DB_SCHEMA_VERSION)
		return NULL;
	if (version < DB_SCHEMA_VERSION)
		snprintf(buf, size,
		    "the database has schema version %d, older than version %d that this program "
		    "needs; "
		    "run \"ferryctl migrate\"",
		    version, DB_SCHEMA_VERSION);
	else
		snprintf(buf, size,
		    "the database has schema version %d, newer than version %d that this program "
		    "knows; "
		    "install the ferryd that belongs to it (\"ferryctl migrate\" cannot go back)",
		    version, DB_SCHEMA_VERSION);
	return buf;
}
