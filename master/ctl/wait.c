/*
 * Following one task to its end, for "put --wait": a look at its row four times a second, shown on
 * one line of a terminal. A database that goes away is waited for.
 */
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/units.h"
#include "master/ctl/ctl.h"

#define LOOK_INTERVAL_US 250000
#define AWAY_MAX_MS 60000

enum { STATE, BYTES_DONE, BYTES_TOTAL, ATTEMPT, VERIFIED_BY, ERROR };
static const char sql[] =
    "SELECT state, bytes_done, coalesce(bytes_total, -1), attempt, coalesce(verified_by, ''), "
    "coalesce(error, '') FROM ferry.task WHERE id = $1";

static int64_t
number(const PGresult *res, int column)
{
	return strtoll(PQgetvalue(res, 0, column), NULL, 10);
}

static void
show_progress(const PGresult *res, const char *id)
{
	int64_t done = number(res, BYTES_DONE), total = number(res, BYTES_TOTAL);
	char done_text[32], total_text[32], percent[16] = "";

	units_format_size(done_text, sizeof(done_text), done);
	units_format_size(total_text, sizeof(total_text), total);
	if (total > 0)
		snprintf(
		    percent, sizeof(percent), " %5.1f%%", 100.0 * (double)done / (double)total);
	fprintf(stderr, "\r\033[Ktask %s %s%s %s%s%s", id, PQgetvalue(res, 0, STATE), percent,
	    done_text, total >= 0 ? " of " : "", total >= 0 ? total_text : "");
	if (number(res, ATTEMPT) > 0)
		fprintf(stderr, ", attempt %" PRId64, number(res, ATTEMPT) + 1);
}

/* Returns the exit code of a finished task, -1 of any other. */
static int
outcome(const PGresult *res, const char *id)
{
	const char *state = PQgetvalue(res, 0, STATE), *verified = PQgetvalue(res, 0, VERIFIED_BY);
	char text[CTL_TEXT_MAX];

	if (strcmp(state, "done") == 0) {
		units_format_size(text, sizeof(text), number(res, BYTES_DONE));
		fprintf(stderr, "task %s done: %s, verified by %s\n", id, text,
		    *verified != '\0' ? verified : "nothing");
		return 0;
	}
	if (strcmp(state, "failed") == 0 || strcmp(state, "cancelled") == 0) {
		ctl_clean(text, sizeof(text), PQgetvalue(res, 0, ERROR), CTL_WHOLE);
		warnx("task %s %s%s%s", id, state, *text != '\0' ? ": " : "", text);
		return CTL_FAILED;
	}
	return -1;
}

/* Connects again, once a second.  Returns 0, or -1 if the database stays away. */
static int
wait_for_database(struct ctl *ctl, bool terminal)
{
	int64_t end = clock_ms() + AWAY_MAX_MS;

	fprintf(stderr, "%sferryctl: the database is away; waiting for it\n",
	    terminal ? "\r\033[K" : "");
	while (clock_ms() < end) {
		sleep(1);
		PQreset(ctl->conn);
		if (PQstatus(ctl->conn) == CONNECTION_OK)
			return 0;
	}
	warnx("the database has been away for %d s", AWAY_MAX_MS / 1000);
	return -1;
}

int
ctl_wait(struct ctl *ctl, const char *id)
{
	bool terminal = isatty(STDERR_FILENO);
	PGresult *res;
	int code = -1;

	ctl->quiet = true;
	for (;;) {
		res = ctl_query(ctl, sql, 1, &id);
		if (res != NULL && PQntuples(res) == 0) {
			warnx("task %s has gone", id);
			code = CTL_FAILED;
		} else if (res != NULL) {
			if (terminal)
				show_progress(res, id);
			if (terminal && strcmp(PQgetvalue(res, 0, STATE), "queued") != 0 &&
			    strcmp(PQgetvalue(res, 0, STATE), "running") != 0)
				fputs("\r\033[K", stderr);
			code = outcome(res, id);
		} else if (PQstatus(ctl->conn) == CONNECTION_OK) {
			code = CTL_FAILED;
		} else if (wait_for_database(ctl, terminal) == -1) {
			code = EX_UNAVAILABLE;
		}
		PQclear(res);
		if (code != -1)
			return code;
		usleep(LOOK_INTERVAL_US);
	}
}
