/*
 * ferryctl reap: asks the daemons to abort abandoned uploads, and waits until they have tried all.
 */
#include "master/ctl/ctl.h"

#include <err.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"

#define LOOK_INTERVAL_US 250000
#define IDLE_MAX_MS 60000 /* gives up after so long without progress */
#define SHOWN "50" /* failed uploads */

enum { LIST_TASK, LIST_CREATED_AT, LIST_DESTINATION, LIST_ERROR, LIST_NOTE };
static const char sql_list[] =
    "SELECT task, to_char(created_at, 'YYYY-MM-DD HH24:MI:SS'), destination,"
    "       coalesce(error, ''), CASE WHEN spoiled THEN ' (a spoiled object)' ELSE '' END"
    "  FROM ferry.abandoned"
    " ORDER BY created_at, task";

static const char sql_live[] = "SELECT count(*)"
			       "  FROM ferry.node"
			       " WHERE renewed_at + lease >= now()";

enum { REAP_COUNT, REAP_NOW };
static const char sql_reap[] = "SELECT ferry.reap(), now()";

/* Counts what was abandoned before $1.  Later uploads belong to the next reaping. */
enum { LEFT_UNTRIED, LEFT_ALL };
static const char sql_left[] =
    "SELECT count(*) FILTER (WHERE tried_at IS NULL OR error IS NULL), count(*)"
    "  FROM ferry.abandoned"
    " WHERE created_at <= $1";

enum { FAILED_TASK, FAILED_DESTINATION, FAILED_ERROR };
static const char sql_failed[] = "SELECT task, destination, error"
				 "  FROM ferry.abandoned"
				 " WHERE error IS NOT NULL"
				 "   AND created_at <= $1"
				 " ORDER BY task"
				 " LIMIT " SHOWN;

static int
list(struct ctl *ctl)
{
	PGresult *res = ctl_query(ctl, sql_list, 0, NULL);
	char destination[CTL_TEXT_MAX], error[CTL_TEXT_MAX];
	int i;

	if (res == NULL)
		return ctl_exit_code(ctl);
	for (i = 0; i < PQntuples(res); i++) {
		ctl_clean_uri(
		    destination, sizeof(destination), PQgetvalue(res, i, LIST_DESTINATION));
		ctl_clean(error, sizeof(error), PQgetvalue(res, i, LIST_ERROR), CTL_WHOLE);
		printf("task %s, begun %s: %s%s%s%s\n", PQgetvalue(res, i, LIST_TASK),
		    PQgetvalue(res, i, LIST_CREATED_AT), destination, PQgetvalue(res, i, LIST_NOTE),
		    error[0] != '\0' ? ": " : "", error);
	}
	if (PQntuples(res) == 0)
		printf("no abandoned uploads\n");
	PQclear(res);
	return 0;
}

/* The number of nodes that are running, or -1 after a message. */
static int64_t
count_live(struct ctl *ctl)
{
	PGresult *res = ctl_query(ctl, sql_live, 0, NULL);
	enum { COUNT };
	int64_t n = res != NULL ? ctl_number(res, 0, COUNT) : -1;

	PQclear(res);
	return n;
}

static void
print_failed(struct ctl *ctl, const char *asked_at)
{
	PGresult *res = ctl_query(ctl, sql_failed, 1, &asked_at);
	char destination[CTL_TEXT_MAX], error[CTL_TEXT_MAX];
	int i;

	for (i = 0; res != NULL && i < PQntuples(res); i++) {
		ctl_clean_uri(
		    destination, sizeof(destination), PQgetvalue(res, i, FAILED_DESTINATION));
		ctl_clean(error, sizeof(error), PQgetvalue(res, i, FAILED_ERROR), CTL_WHOLE);
		warnx("task %s: %s: could not be aborted: %s", PQgetvalue(res, i, FAILED_TASK),
		    destination, error);
	}
	PQclear(res);
}

/* Waits until each upload is gone or has failed to go.  Returns the exit code. */
static int
await(struct ctl *ctl, const char *asked_at, int64_t asked)
{
	int64_t untried, left, least = INT64_MAX, idle_at = 0;
	PGresult *res;

	for (;;) {
		if ((res = ctl_query(ctl, sql_left, 1, &asked_at)) == NULL)
			return ctl_exit_code(ctl);
		untried = ctl_number(res, 0, LEFT_UNTRIED);
		left = ctl_number(res, 0, LEFT_ALL);
		PQclear(res);
		if (untried < least) {
			least = untried;
			idle_at = clock_ms() + IDLE_MAX_MS;
		}
		if (untried == 0 || idle_at <= clock_ms())
			break;
		usleep(LOOK_INTERVAL_US);
	}
	printf("%" PRId64 " abandoned uploads aborted, %" PRId64 " left\n",
	    left < asked ? asked - left : 0, left);
	print_failed(ctl, asked_at);
	if (untried > 0)
		warnx("nothing was aborted for %d s, and %" PRId64
		      " uploads were not tried, since no worker on their hosts is idle; the "
		      "daemons go "
		      "on by themselves",
		    IDLE_MAX_MS / 1000, untried);
	return left > 0 ? CTL_FAILED : 0;
}

static int
reap(struct ctl *ctl)
{
	char asked_at[64];
	PGresult *res;
	int64_t asked, live;

	if ((live = count_live(ctl)) == -1 || (res = ctl_query(ctl, sql_reap, 0, NULL)) == NULL)
		return ctl_exit_code(ctl);
	asked = ctl_number(res, 0, REAP_COUNT);
	strlcpy(asked_at, PQgetvalue(res, 0, REAP_NOW), sizeof(asked_at));
	PQclear(res);
	if (asked == 0) {
		printf("no abandoned uploads\n");
		return 0;
	}
	if (live == 0) {
		warnx("no ferryd is running; the next one that starts will abort %" PRId64
		      " abandoned uploads",
		    asked);
		return CTL_FAILED;
	}
	return await(ctl, asked_at, asked);
}

int
ctl_reap(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = {
		{ "dry-run", no_argument, NULL, 'n' },
		{ NULL, 0, NULL, 0 },
	};
	bool dry_run = false;
	int c, code;

	while ((c = getopt_long(argc, argv, "n", options, NULL)) != -1) {
		if (c != 'n')
			return CTL_USAGE;
		dry_run = true;
	}
	if (optind != argc)
		return CTL_USAGE;
	if ((code = ctl_connect(ctl)) != 0)
		return code;
	return dry_run ? list(ctl) : reap(ctl);
}
