/*
 * ferryctl show: every column of a task on a line of its own, then what its uploads have come to.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/db.h"
#include "common/units.h"
#include "common/uri.h"
#include "master/ctl/ctl.h"

#define NAME_COLUMNS 18

/* Columns in bytes get a reading for people beside the number. */
static bool
is_size(const char *column)
{
	return strcmp(column, "expect_size") == 0 || strcmp(column, "bytes_total") == 0 ||
	       strcmp(column, "bytes_done") == 0 || strcmp(column, "peak_memory") == 0;
}

static void
print_field(const char *name, const char *value)
{
	char redacted[URI_MAX * 2], clean[CTL_TEXT_MAX], size[32];

	if (strcmp(name, "source") == 0 || strcmp(name, "destination") == 0)
		value = uri_redact(redacted, sizeof(redacted), value);
	ctl_pad(name, NAME_COLUMNS);
	fputs(ctl_clean(clean, sizeof(clean), value, CTL_WHOLE), stdout);
	if (is_size(name) && *value != '-')
		printf(" (%s)", units_format_size(size, sizeof(size), strtoll(value, NULL, 10)));
	putchar('\n');
}

/* The view is there for roles that may not read ferry.node. */
static int
print_task(struct ctl *ctl, const char *id)
{
	PGresult *res = ctl_query(ctl,
	    "SELECT t.*, (SELECT p.node FROM ferry.progress p WHERE p.id = t.id) AS node_name "
	    "FROM ferry.task t WHERE t.id = $1",
	    1, &id);
	int code = 0, i;

	if (res == NULL)
		return ctl_exit_code(ctl);
	if (PQntuples(res) == 0) {
		warnx("task %s: there is none", id);
		code = CTL_FAILED;
	} else {
		for (i = 0; i < PQnfields(res); i++)
			print_field(
			    PQfname(res, i), PQgetisnull(res, 0, i) ? "-" : PQgetvalue(res, 0, i));
	}
	PQclear(res);
	return code;
}

/* A role that may only put and look is not shown the uploads: they are the daemon's own. */
static int
print_uploads(struct ctl *ctl, const char *id)
{
	PGresult *res = PQexecParams(ctl->conn,
	    "SELECT u.upload_id, CASE WHEN u.spoiled THEN 'spoiled object' WHEN u.abandoned THEN 'abandoned' WHEN u.completing THEN "
	    "'completing' ELSE 'open' END, "
	    "       count(p.number), coalesce(sum(p.size), 0), u.source_size, u.part_size "
	    "FROM ferry.upload u LEFT JOIN ferry.part p ON p.task = u.task AND p.upload_id = "
	    "u.upload_id "
	    "WHERE u.task = $1 GROUP BY u.task, u.upload_id ORDER BY u.created_at",
	    1, NULL, &id, NULL, NULL, 0);
	char upload[CTL_TEXT_MAX], done[32], size[32], part[32];
	int row, code = 0;

	if (db_error_class(res) == DB_ERR_ACCESS) {
		print_field("uploads", "not visible to this role");
	} else if (db_error_class(res) != DB_ERR_NONE) {
		ctl_complain(res, "uploads");
		code = ctl_exit_code(ctl);
	}
	for (row = 0; row < PQntuples(res); row++) {
		ctl_pad("upload", NAME_COLUMNS);
		printf("%s: %s, %s parts with %s of %s, part size %s\n",
		    ctl_clean(upload, sizeof(upload), PQgetvalue(res, row, 0), CTL_WHOLE),
		    PQgetvalue(res, row, 1), PQgetvalue(res, row, 2),
		    units_format_size(
			done, sizeof(done), strtoll(PQgetvalue(res, row, 3), NULL, 10)),
		    units_format_size(
			size, sizeof(size), strtoll(PQgetvalue(res, row, 4), NULL, 10)),
		    units_format_size(
			part, sizeof(part), strtoll(PQgetvalue(res, row, 5), NULL, 10)));
	}
	PQclear(res);
	return code;
}

int
ctl_show(struct ctl *ctl, int argc, char **argv)
{
	int code;

	if (argc != 2 || ctl_check_id(argv[1]) == -1)
		return CTL_USAGE;
	if ((code = ctl_connect(ctl)) != 0 || (code = print_task(ctl, argv[1])) != 0)
		return code;
	return print_uploads(ctl, argv[1]);
}
