/*
 * ferryctl show: the story of a task, each of its columns on a line, then its uploads.
 */
#include "master/ctl/ctl.h"

#include <err.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/units.h"
#include "common/db/db.h"
#include "master/ctl/sheet.h"

#define NAME_COLUMNS 18

/* Whether a column is in bytes: it is printed with a unit, too. */
static bool
is_size(const char *column)
{
	return strcmp(column, "expect_size") == 0 || strcmp(column, "bytes_total") == 0 ||
	       strcmp(column, "bytes_done") == 0 || strcmp(column, "peak_memory") == 0;
}

struct show {
	enum sheet_form form;
	bool exact; /* bytes without a unit beside them */
};

const char ctl_show_options[] = "  --json, --csv  for programs; JSON has the uploads too\n"
				"  --bytes        no units beside the bytes\n";

static void
print_field(const struct show *show, const char *name, const char *value)
{
	char clean[CTL_TEXT_MAX], size[32];

	if (strcmp(name, "source") == 0 || strcmp(name, "destination") == 0)
		ctl_clean_uri(clean, sizeof(clean), value);
	else
		ctl_clean(clean, sizeof(clean), value, CTL_WHOLE);
	ctl_pad(name, NAME_COLUMNS);
	fputs(clean, stdout);
	if (is_size(name) && *value != '-' && !show->exact)
		printf(" (%s)", units_format_size(size, sizeof(size), strtoll(value, NULL, 10)));
	putchar('\n');
}

/* The text of a column of the task, cleaned, in buf; empty if it is null.  Returns buf. */
static const char *
text_of(const PGresult *res, const char *name, char buf[CTL_TEXT_MAX])
{
	return ctl_clean(buf, CTL_TEXT_MAX, PQgetvalue(res, 0, PQfnumber(res, name)), CTL_WHOLE);
}

static int64_t
number_of(const PGresult *res, const char *name)
{
	return ctl_number(res, 0, PQfnumber(res, name));
}

static bool
has(const PGresult *res, const char *name)
{
	return !PQgetisnull(res, 0, PQfnumber(res, name));
}

/* Where the task is now. */
static void
print_present(const PGresult *res)
{
	char text[CTL_TEXT_MAX], ago[32], took[32];
	const char *state = PQgetvalue(res, 0, PQfnumber(res, "state"));

	sheet_format_age(ago, sizeof(ago), number_of(res, "finished_s"));
	sheet_format_age(took, sizeof(took), number_of(res, "took_s"));
	ctl_pad("", NAME_COLUMNS);
	if (strcmp(state, "running") == 0)
		printf("it runs on node %s\n", text_of(res, "node_name", text));
	else if (strcmp(state, "queued") == 0)
		printf("it waits for: %s\n",
		    has(res, "waiting_for") ? text_of(res, "waiting_for", text) : "a claim");
	else if (has(res, "took_s"))
		printf("it ended as %s %s ago, %s after its first claim\n", state, ago, took);
	else
		printf("it ended as %s %s ago\n", state, ago);
}

/* What happened to the task, in sentences. */
static void
print_story(const PGresult *res)
{
	char text[CTL_TEXT_MAX], age[32];
	int64_t failed = number_of(res, "attempt"), crashes = number_of(res, "crashes"),
		ooms = number_of(res, "ooms");

	ctl_pad("story", NAME_COLUMNS);
	printf("it was made %s ago, for queue %s\n",
	    sheet_format_age(age, sizeof(age), number_of(res, "age_s")),
	    text_of(res, "queue", text));
	ctl_pad("", NAME_COLUMNS);
	if (has(res, "waited_s"))
		printf("it was first claimed after %s\n",
		    sheet_format_age(age, sizeof(age), number_of(res, "waited_s")));
	else
		puts("it was never claimed");
	if (failed + crashes + ooms > 0) {
		ctl_pad("", NAME_COLUMNS);
		printf("failed transfers: %" PRId64 ", workers that died: %" PRId64
		       ", and for want of memory: %" PRId64 "\n",
		    failed, crashes, ooms);
	}
	if (has(res, "error")) {
		ctl_pad("", NAME_COLUMNS);
		printf("the last failure was: %s\n", text_of(res, "error", text));
	}
	print_present(res);
}

/* The node's name comes from the view: ferry_producer may not read ferry.node. */
static const char sql_task[] =
    "SELECT t.*, p.node AS node_name, p.waiting_for,"
    "       extract(epoch FROM now() - t.created_at)::bigint AS age_s,"
    "       extract(epoch FROM t.started_at - t.created_at)::bigint AS waited_s,"
    "       extract(epoch FROM t.finished_at - t.started_at)::bigint AS took_s,"
    "       extract(epoch FROM now() - t.finished_at)::bigint AS finished_s"
    "  FROM ferry.task t"
    "  LEFT JOIN ferry.progress p ON p.id = t.id"
    " WHERE t.id = $1";

static void
print_task(const struct show *show, const PGresult *res)
{
	int i;

	print_story(res);
	for (i = 0; i < PQnfields(res); i++)
		print_field(
		    show, PQfname(res, i), PQgetisnull(res, 0, i) ? "-" : PQgetvalue(res, 0, i));
}

enum { UPLOAD_ID, KIND, PARTS, BYTES, SOURCE_SIZE, PART_SIZE };
static const char sql_uploads[] =
    "SELECT u.upload_id,"
    "       CASE WHEN u.spoiled THEN 'spoiled object'"
    "            WHEN u.abandoned THEN 'abandoned'"
    "            WHEN u.completing THEN 'completing'"
    "            ELSE 'open' END AS kind,"
    "       count(p.number) AS parts, coalesce(sum(p.size), 0)::bigint AS bytes,"
    "       u.source_size, u.part_size"
    "  FROM ferry.task t"
    "  JOIN ferry.upload u ON u.task = t.id AND u.first_claim = t.first_claim"
    "  LEFT JOIN ferry.part p ON p.task = u.task AND p.upload_id = u.upload_id"
    " WHERE t.id = $1"
    " GROUP BY u.task, u.upload_id"
    " ORDER BY u.created_at";

static void
print_upload(const PGresult *res, int row)
{
	char upload[CTL_TEXT_MAX], done[32], size[32], part[32];

	ctl_pad("upload", NAME_COLUMNS);
	printf("%s: %s, %s parts with %s of %s, part size %s\n",
	    ctl_clean(upload, sizeof(upload), PQgetvalue(res, row, UPLOAD_ID), CTL_WHOLE),
	    PQgetvalue(res, row, KIND), PQgetvalue(res, row, PARTS),
	    units_format_size(done, sizeof(done), ctl_number(res, row, BYTES)),
	    units_format_size(size, sizeof(size), ctl_number(res, row, SOURCE_SIZE)),
	    units_format_size(part, sizeof(part), ctl_number(res, row, PART_SIZE)));
}

/* Asks for the uploads.  ferry_producer may not read them: *hidden.  Returns an exit code. */
static int
ask_uploads(struct ctl *ctl, const char *id, PGresult **res, bool *hidden)
{
	*res = PQexecParams(ctl->conn, sql_uploads, 1, NULL, &id, NULL, NULL, 0);
	*hidden = db_error_class(*res) == DB_ERR_ACCESS;
	if (*hidden || db_error_class(*res) == DB_ERR_NONE)
		return 0;
	ctl_complain(*res, "uploads");
	return ctl_exit_code(ctl);
}

/* The object of the task gets a member for its uploads. */
static void
print_json(const PGresult *task, const PGresult *uploads, bool hidden)
{
	fputs("{\"task\": ", stdout);
	sheet_print_object(task, 0);
	fputs(",\n \"uploads\": ", stdout);
	if (hidden)
		fputs("null", stdout);
	else
		sheet_print_array(uploads);
	puts("}");
}

static int
print_all(struct ctl *ctl, const struct show *show, const char *id, const PGresult *task)
{
	PGresult *uploads;
	bool hidden;
	int row, code = ask_uploads(ctl, id, &uploads, &hidden);

	if (code == 0 && show->form == SHEET_JSON) {
		print_json(task, uploads, hidden);
	} else if (code == 0) {
		print_task(show, task);
		if (hidden)
			print_field(show, "uploads", "not visible to this role");
		for (row = 0; row < PQntuples(uploads); row++)
			print_upload(uploads, row);
	}
	PQclear(uploads);
	return code;
}

/* Returns the number of the first argument that is no option, or -1. */
static int
take_options(struct show *show, int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "csv", no_argument, NULL, 'c' },
		{ "bytes", no_argument, NULL, 'b' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'j')
			show->form = SHEET_JSON;
		else if (c == 'c')
			show->form = SHEET_CSV;
		else if (c == 'b')
			show->exact = true;
		else
			return -1;
	}
	return optind;
}

int
ctl_show(struct ctl *ctl, int argc, char **argv)
{
	struct show show = { 0 };
	int code, at = take_options(&show, argc, argv);
	const char *id;
	PGresult *task;

	if (at == -1 || argc - at != 1 || ctl_check_id(argv[at]) == -1)
		return CTL_USAGE;
	id = argv[at];
	if ((code = ctl_connect(ctl)) != 0)
		return code;
	if ((task = ctl_query(ctl, sql_task, 1, &id)) == NULL)
		return ctl_exit_code(ctl);
	if (PQntuples(task) == 0) {
		warnx("there is no task %s", id);
		code = CTL_FAILED;
	} else if (show.form == SHEET_CSV) {
		sheet_print_csv(task);
	} else {
		code = print_all(ctl, &show, id, task);
	}
	PQclear(task);
	return code;
}
