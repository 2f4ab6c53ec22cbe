/*
 * ferryctl ls: tasks as a table, the newest first.
 */
#include "master/ctl/ctl.h"

#include <err.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/units.h"
#include "master/ctl/sheet.h"

static const struct sheet_column columns[] = {
	{ "ID", "id", SHEET_WORD, false },
	{ "STATE", "state", SHEET_WORD, false },
	{ "DONE", "percent", SHEET_WORD, false },
	{ "SIZE", "size", SHEET_SIZE, false },
	{ "TRY", "tries", SHEET_NUMBER, false },
	{ "AGE", "age_s", SHEET_AGE, false },
	{ "SOURCE", "source", SHEET_URI, false },
	{ "DESTINATION", "destination", SHEET_URI, false },
	{ "ERROR", "error", SHEET_TEXT, true },
	{ "WAITING FOR", "waiting_for", SHEET_TEXT, false },
};

/* Which tasks to list, as parameters of the statement. */
enum { OF_STATE, OF_QUEUE, OF_STORE, WITH_TEXT, OF_CLASS, SINCE_MS, COUNT, WITH_TAG, NPARAMS };

struct ls {
	const char *params[NPARAMS];
	char since[32];
	const struct order *order;
	bool ascending;
	enum sheet_form form;
	bool exact;
};

/* What tasks are sorted by. */
static const struct order {
	const char *name;
	const char *inner; /* of ferry.task */
	const char *outer; /* of the answer */
} orders[] = {
	{ "id", "t.id", "l.id" },
	{ "size", "coalesce(t.bytes_total, t.expect_size, 0)", "coalesce(l.size, 0)" },
	{ "done", "t.bytes_done", "l.bytes_done" },
	{ "tries", "t.attempt + t.crashes + t.ooms", "l.tries" },
	{ "priority", "t.priority", "l.priority" },
	{ "finished", "coalesce(t.finished_at, '-infinity')",
	    "coalesce(l.finished_at, '-infinity')" },
};
#define NORDERS (sizeof(orders) / sizeof(orders[0]))

enum { OPT_STORE = 256, OPT_TEXT, OPT_CLASS, OPT_SINCE, OPT_TAG, OPT_JSON, OPT_CSV, OPT_BYTES };

static const struct option options[] = {
	{ "count", required_argument, NULL, 'n' },
	{ "queue", required_argument, NULL, 'q' },
	{ "state", required_argument, NULL, 's' },
	{ "store", required_argument, NULL, OPT_STORE },
	{ "text", required_argument, NULL, OPT_TEXT },
	{ "error", required_argument, NULL, OPT_CLASS },
	{ "since", required_argument, NULL, OPT_SINCE },
	{ "tag", required_argument, NULL, OPT_TAG },
	{ "order", required_argument, NULL, 'o' },
	{ "reverse", no_argument, NULL, 'r' },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "csv", no_argument, NULL, OPT_CSV },
	{ "bytes", no_argument, NULL, OPT_BYTES },
	{ NULL, 0, NULL, 0 },
};

const char ctl_ls_options[] =
    "  -n, --count NUMBER      at most so many; by default 20\n"
    "  -q, --queue NAME        only tasks of this queue\n"
    "  -s, --state STATE       only queued, running, done, failed or cancelled ones\n"
    "  --store NAME            only tasks from or to this store\n"
    "  --text TEXT             only tasks with this text in their source or destination\n"
    "  --error CLASS           only tasks whose last failure is of this class\n"
    "  --since DURATION        only tasks of the last 30s, 5m, 2h, 7d\n"
    "  --tag NAME=VALUE        only tasks with this tag\n"
    "  -o, --order KEY         the largest id, size, done, tries, priority or finished first\n"
    "  -r, --reverse           the smallest first\n"
    "  --json, --csv           all columns, for programs\n"
    "  --bytes                 sizes in bytes and ages in seconds\n";

/* The view tells why each listed task waits, and only those. */
static const char sql_outer[] =
    "SELECT l.*, (SELECT p.waiting_for FROM ferry.progress p WHERE p.id = l.id) AS waiting_for"
    "  FROM (";
static const char sql_inner[] =
    "SELECT t.id, t.state, t.queue, t.priority,"
    "       CASE WHEN t.bytes_total > 0"
    "                 THEN trunc(100.0 * t.bytes_done / t.bytes_total) || '%'"
    "            WHEN t.state = 'done' THEN '100%'"
    "            ELSE '-' END AS percent,"
    "       t.bytes_done, coalesce(t.bytes_total, t.expect_size) AS size,"
    "       t.attempt + t.crashes + t.ooms AS tries,"
    "       trunc(extract(epoch FROM now() - t.created_at))::bigint AS age_s,"
    "       t.created_at, t.started_at, t.finished_at,"
    "       t.source, t.destination, t.error_class,"
    "       CASE WHEN t.state <> 'done' THEN t.error END AS error"
    "  FROM ferry.task t"
    " WHERE ($1::ferry.state IS NULL OR t.state = $1::ferry.state)"
    "   AND ($2::text IS NULL OR t.queue = $2::text)"
    "   AND ($3::text IS NULL OR $3::text IN (t.source_store, t.destination_store))"
    "   AND ($4::text IS NULL OR strpos(ferry.redacted(t.source), $4::text) > 0"
    "        OR strpos(t.destination, $4::text) > 0)"
    "   AND ($5::text IS NULL OR t.error_class = $5::text)"
    "   AND ($6::bigint IS NULL"
    "        OR t.created_at >= now() - $6::bigint * interval '1 millisecond')"
    "   AND ($8::text IS NULL OR t.tags ->> split_part($8::text, '=', 1)"
    "        = substr($8::text, strpos($8::text, '=') + 1))";

static bool
is_state(const char *s)
{
	static const char *const states[] = { "queued", "running", "done", "failed", "cancelled" };
	size_t i;

	for (i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (strcmp(s, states[i]) == 0)
			return true;
	return false;
}

static const char *
take_order(struct ls *ls, const char *value)
{
	for (ls->order = orders; ls->order < orders + NORDERS; ls->order++)
		if (strcmp(ls->order->name, value) == 0)
			return NULL;
	return "id, size, done, tries, priority or finished is right";
}

static const char *
take_since(struct ls *ls, const char *value)
{
	int64_t ms;

	if (units_parse_duration(value, &ms) == -1)
		return "a duration such as 30s, 5m, 2h or 7d is right";
	snprintf(ls->since, sizeof(ls->since), "%" PRId64, ms);
	ls->params[SINCE_MS] = ls->since;
	return NULL;
}

/* Takes one option that chooses tasks.  Returns what is right if its value is wrong, else NULL. */
static const char *
take_filter(struct ls *ls, int c, const char *value)
{
	const char *wrong = NULL;

	switch (c) {
	case 'n':
		ls->params[COUNT] = value;
		strtonum(value, 1, 1000000, &wrong);
		return wrong;
	case 'q':
		ls->params[OF_QUEUE] = value;
		return NULL;
	case 's':
		ls->params[OF_STATE] = value;
		return is_state(value) ? NULL
				       : "queued, running, done, failed or cancelled is right";
	case OPT_STORE:
		ls->params[OF_STORE] = value;
		return NULL;
	case OPT_TEXT:
		ls->params[WITH_TEXT] = value;
		return NULL;
	case OPT_CLASS:
		ls->params[OF_CLASS] = value;
		return NULL;
	case OPT_TAG:
		ls->params[WITH_TAG] = value;
		return strchr(value, '=') != NULL ? NULL : "NAME=VALUE is right";
	default:
		return take_since(ls, value);
	}
}

/* Takes one option.  Returns what is right if its value is wrong, else NULL. */
static const char *
take_option(struct ls *ls, int c, const char *value)
{
	switch (c) {
	case 'o':
		return take_order(ls, value);
	case 'r':
		ls->ascending = true;
		return NULL;
	case OPT_JSON:
		ls->form = SHEET_JSON;
		return NULL;
	case OPT_CSV:
		ls->form = SHEET_CSV;
		return NULL;
	case OPT_BYTES:
		ls->exact = true;
		return NULL;
	default:
		return take_filter(ls, c, value);
	}
}

/* Returns 0 or CTL_USAGE. */
static int
take_options(struct ls *ls, int argc, char **argv)
{
	const char *wrong;
	int c, i;

	while ((c = getopt_long(argc, argv, "n:q:s:o:r", options, &i)) != -1) {
		if (c == '?')
			return CTL_USAGE;
		if ((wrong = take_option(ls, c, optarg)) != NULL) {
			warnx("\"%s\": %s", optarg, wrong);
			return CTL_USAGE;
		}
	}
	return optind == argc ? 0 : CTL_USAGE;
}

/* Writes the statement.  Its orders come from this file. */
static void
write_select(const struct ls *ls, char *sql, size_t size)
{
	const char *way = ls->ascending ? "ASC" : "DESC";

	snprintf(sql, size,
	    "%s%s"
	    " ORDER BY %s %s, t.id %s"
	    " LIMIT $7::bigint) l"
	    " ORDER BY %s %s, l.id %s",
	    sql_outer, sql_inner, ls->order->inner, way, way, ls->order->outer, way, way);
}

int
ctl_ls(struct ctl *ctl, int argc, char **argv)
{
	struct ls ls = { .params = { [COUNT] = "20" }, .order = orders };
	struct sheet sheet = { .columns = columns,
		.ncolumns = sizeof(columns) / sizeof(columns[0]) };
	char sql[4096];
	PGresult *res;
	int code;

	if ((code = take_options(&ls, argc, argv)) != 0 || (code = ctl_connect(ctl)) != 0)
		return code;
	write_select(&ls, sql, sizeof(sql));
	if ((res = ctl_query(ctl, sql, NPARAMS, ls.params)) == NULL)
		return ctl_exit_code(ctl);
	sheet.exact = ls.exact;
	if (ls.form == SHEET_TABLE)
		sheet_print(&sheet, res);
	else if (ls.form == SHEET_CSV)
		sheet_print_csv(res);
	else
		sheet_print_array(res);
	if (ls.form == SHEET_JSON)
		putchar('\n');
	PQclear(res);
	return 0;
}
