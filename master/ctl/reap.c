/*
 * ferryctl reap: asks the daemons to abort what is abandoned, and waits until they have.
 */
#include <err.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/uri.h"
#include "master/ctl/ctl.h"

#define LOOK_INTERVAL_US 250000
#define IDLE_MAX_MS 60000 /* without one upload less */
#define SHOWN "50"

static const char sql_list[] =
    "SELECT task, to_char(created_at, 'YYYY-MM-DD HH24:MI:SS'), destination, coalesce(error, ''), "
    "CASE WHEN spoiled THEN ' (a spoiled object)' ELSE '' END "
    "FROM ferry.abandoned ORDER BY created_at, task";

static const char sql_live[] =
    "SELECT count(*) FROM ferry.node WHERE renewed_at + lease >= now()";

/* Only what was abandoned when it was asked for: the rest is the next reaping's. */
static const char sql_left[] =
    "SELECT count(*) FILTER (WHERE tried_at IS NULL OR error IS NULL), count(*) FROM ferry.abandoned "
    "WHERE created_at <= $1";

static const char sql_failed[] =
    "SELECT task, destination, error FROM ferry.abandoned WHERE error IS NOT NULL AND created_at <= $1 "
    "ORDER BY task LIMIT " SHOWN;

static void
clean_uri(char *buf, size_t size, const char *uri)
{
	char redacted[CTL_TEXT_MAX];

	uri_redact(redacted, sizeof(redacted), uri);
	ctl_clean(buf, size, redacted, CTL_WHOLE);
}

static int
list(struct ctl *ctl)
{
	PGresult *res = ctl_query(ctl, sql_list, 0, NULL);
	char destination[CTL_TEXT_MAX], error[CTL_TEXT_MAX];
	int i;

	if (res == NULL)
		return ctl_exit_code(ctl);
	for (i = 0; i < PQntuples(res); i++) {
		clean_uri(destination, sizeof(destination), PQgetvalue(res, i, 2));
		ctl_clean(error, sizeof(error), PQgetvalue(res, i, 3), CTL_WHOLE);
		printf("task %s, begun %s: %s%s%s%s\n", PQgetvalue(res, i, 0), PQgetvalue(res, i, 1), destination,
		    PQgetvalue(res, i, 4), error[0] != '\0' ? ": " : "", error);
	}
	if (PQntuples(res) == 0)
		printf("no abandoned uploads\n");
	PQclear(res);
	return 0;
}

/* One number, or -1 after the reason was said. */
static int64_t
ask_number(struct ctl *ctl, const char *sql)
{
	PGresult *res = ctl_query(ctl, sql, 0, NULL);
	int64_t n = -1;

	if (res != NULL)
		n = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
	PQclear(res);
	return n;
}

static void
say_failed(struct ctl *ctl, const char *asked_at)
{
	PGresult *res = ctl_query(ctl, sql_failed, 1, &asked_at);
	char destination[CTL_TEXT_MAX], error[CTL_TEXT_MAX];
	int i;

	for (i = 0; res != NULL && i < PQntuples(res); i++) {
		clean_uri(destination, sizeof(destination), PQgetvalue(res, i, 1));
		ctl_clean(error, sizeof(error), PQgetvalue(res, i, 2), CTL_WHOLE);
		warnx("task %s: %s: could not be aborted: %s", PQgetvalue(res, i, 0), destination, error);
	}
	PQclear(res);
}

/* Until each of them is gone or has met a reason to stay.  Returns the exit code. */
static int
await(struct ctl *ctl, const char *asked_at, int64_t asked)
{
	int64_t untried, left, least = INT64_MAX, idle_at = 0;
	PGresult *res;

	for (;;) {
		if ((res = ctl_query(ctl, sql_left, 1, &asked_at)) == NULL)
			return ctl_exit_code(ctl);
		untried = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
		left = strtoll(PQgetvalue(res, 0, 1), NULL, 10);
		PQclear(res);
		if (untried < least) {
			least = untried;
			idle_at = clock_ms() + IDLE_MAX_MS;
		}
		if (untried == 0 || idle_at <= clock_ms())
			break;
		usleep(LOOK_INTERVAL_US);
	}
	printf("%" PRId64 " abandoned uploads aborted, %" PRId64 " left\n", left < asked ? asked - left : 0, left);
	say_failed(ctl, asked_at);
	if (untried > 0)
		warnx("%" PRId64 " were not taken up for %d s: is a worker free, on their hosts?  They stay listed, and the "
		      "daemon goes on by itself", untried, IDLE_MAX_MS / 1000);
	return left > 0 ? CTL_FAILED : 0;
}

static int
reap(struct ctl *ctl)
{
	char asked_at[64];
	PGresult *res;
	int64_t asked, live;

	if ((live = ask_number(ctl, sql_live)) == -1 ||
	    (res = ctl_query(ctl, "SELECT ferry.reap(), now()", 0, NULL)) == NULL)
		return ctl_exit_code(ctl);
	asked = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
	strlcpy(asked_at, PQgetvalue(res, 0, 1), sizeof(asked_at));
	PQclear(res);
	if (asked == 0) {
		printf("no abandoned uploads\n");
		return 0;
	}
	if (live == 0) {
		warnx("no ferryd is running; the next to start aborts %" PRId64 " abandoned uploads", asked);
		return CTL_FAILED;
	}
	return await(ctl, asked_at, asked);
}

int
ctl_reap(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = {
	    {"dry-run", no_argument, NULL, 'n'},
	    {NULL, 0, NULL, 0},
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
