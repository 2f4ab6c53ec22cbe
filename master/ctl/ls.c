/*
 * ferryctl ls: tasks as a table, the newest first.  On a terminal it keeps to its width; into a
 * pipe nothing is cut.
 */
#include <err.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/units.h"
#include "common/uri.h"
#include "master/ctl/ctl.h"

enum { ID, STATE, DONE, SIZE, TRIES, AGE, SOURCE, DESTINATION, NCOLUMNS };
static const char *const titles[NCOLUMNS] = {
    "ID", "STATE", "DONE", "SIZE", "TRY", "AGE", "SOURCE", "DESTINATION"};

static const char sql[] =
    "SELECT id, state, CASE WHEN bytes_total > 0 THEN trunc(100.0 * bytes_done / bytes_total) || "
    "'%'"
    "                       WHEN state = 'done' THEN '100%' ELSE '-' END,"
    "       coalesce(bytes_total, expect_size, -1), attempt + crashes + ooms,"
    "       trunc(extract(epoch FROM now() - created_at)), source, destination "
    "FROM ferry.task "
    "WHERE ($1::ferry.state IS NULL OR state = $1::ferry.state) AND ($2::text IS NULL OR queue = "
    "$2::text) "
    "ORDER BY id DESC LIMIT $3::bigint";

/* Seconds in the largest unit that fits: 45s, 12m, 3h, 9d. */
static void
format_age(char *buf, size_t size, long long seconds)
{
	if (seconds < 0)
		seconds = 0;
	if (seconds < 60)
		snprintf(buf, size, "%llds", seconds);
	else if (seconds < 3600)
		snprintf(buf, size, "%lldm", seconds / 60);
	else if (seconds < 86400)
		snprintf(buf, size, "%lldh", seconds / 3600);
	else
		snprintf(buf, size, "%lldd", seconds / 86400);
}

/* What stands in a cell, before it is cut. */
static void
format_cell(char *buf, const PGresult *res, int row, int column)
{
	const char *value = PQgetvalue(res, row, column);
	char redacted[URI_MAX * 2];
	long long n = strtoll(value, NULL, 10);

	switch (column) {
	case SIZE:
		if (n < 0)
			strlcpy(buf, "-", CTL_TEXT_MAX);
		else
			units_format_size(buf, 32, n);
		break;
	case AGE:
		format_age(buf, 32, n);
		break;
	case SOURCE:
	case DESTINATION:
		uri_redact(redacted, sizeof(redacted), value);
		ctl_clean(buf, CTL_TEXT_MAX, redacted, CTL_WHOLE);
		break;
	default:
		ctl_clean(buf, CTL_TEXT_MAX, value, CTL_WHOLE);
		break;
	}
}

/* The widest cell of each column; on a terminal the two URIs share what the others leave. */
static void
measure(const PGresult *res, size_t widths[NCOLUMNS])
{
	struct winsize ws = {0};
	char cell[CTL_TEXT_MAX];
	size_t taken = NCOLUMNS - 1, room, width;
	int row, column;

	for (column = 0; column < NCOLUMNS; column++) {
		widths[column] = strlen(titles[column]);
		for (row = 0; row < PQntuples(res); row++) {
			format_cell(cell, res, row, column);
			if ((width = ctl_width(cell)) > widths[column])
				widths[column] = width;
		}
		if (column < SOURCE)
			taken += widths[column];
	}
	if (!isatty(STDOUT_FILENO))
		return;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == -1 || ws.ws_col == 0)
		ws.ws_col = 80;
	room = ws.ws_col > taken + 24 ? ws.ws_col - taken : 24;
	if (widths[SOURCE] + widths[DESTINATION] <= room)
		return;
	if (widths[SOURCE] <= room / 2)
		widths[DESTINATION] = room - widths[SOURCE];
	else if (widths[DESTINATION] <= room / 2)
		widths[SOURCE] = room - widths[DESTINATION];
	else
		widths[SOURCE] = widths[DESTINATION] = room / 2;
}

static void
print_table(const PGresult *res)
{
	char cell[CTL_TEXT_MAX], cut[CTL_TEXT_MAX];
	size_t widths[NCOLUMNS];
	int row, column;

	measure(res, widths);
	for (row = -1; row < PQntuples(res); row++) {
		for (column = 0; column < NCOLUMNS; column++) {
			if (row == -1)
				strlcpy(cell, titles[column], sizeof(cell));
			else
				format_cell(cell, res, row, column);
			ctl_clean(cut, sizeof(cut), cell, widths[column]);
			ctl_pad(cut, column == DESTINATION ? 0 : widths[column]);
			putchar(column == DESTINATION ? '\n' : ' ');
		}
	}
}

static bool
is_state(const char *s)
{
	static const char *const states[] = {"queued", "running", "done", "failed", "cancelled"};
	size_t i;

	for (i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (strcmp(s, states[i]) == 0)
			return true;
	return false;
}

int
ctl_ls(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = {
	    {"count", required_argument, NULL, 'n'},
	    {"queue", required_argument, NULL, 'q'},
	    {"state", required_argument, NULL, 's'},
	    {NULL, 0, NULL, 0},
	};
	const char *params[3] = {NULL, NULL, "20"}, *errstr = NULL;
	PGresult *res;
	int c, code;

	while ((c = getopt_long(argc, argv, "n:q:s:", options, NULL)) != -1) {
		switch (c) {
		case 'n':
			params[2] = optarg;
			strtonum(optarg, 1, 1000000, &errstr);
			break;
		case 'q':
			params[1] = optarg;
			break;
		case 's':
			params[0] = optarg;
			errstr = is_state(optarg)
				     ? NULL
				     : "queued, running, done, failed or cancelled is right";
			break;
		default:
			return CTL_USAGE;
		}
		if (errstr != NULL) {
			warnx("-%c \"%s\": %s", c, optarg, errstr);
			return CTL_USAGE;
		}
	}
	if (optind != argc)
		return CTL_USAGE;
	if ((code = ctl_connect(ctl)) != 0)
		return code;
	if ((res = ctl_query(ctl, sql, 3, params)) == NULL)
		return ctl_exit_code(ctl);
	print_table(res);
	PQclear(res);
	return 0;
}
