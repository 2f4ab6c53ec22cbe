/*
 * Follows one task to its end, for "watch" and "put --wait": reads its row four times a second.  On
 * a terminal a bar shows its progress, elsewhere a line now and then.  If the database goes away,
 * waits for it.
 */
#include "master/ctl/ctl.h"

#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/memory.h"
#include "common/base/units.h"
#include "common/db/db.h"
#include "master/ctl/bar.h"
#include "master/ctl/sheet.h"

#define LOOK_INTERVAL_US 250000
#define LINE_INTERVAL_MS 5000
#define AWAY_MAX_MS 60000
#define PARTS_MAX 100000

struct watch {
	struct ctl *ctl;
	const char *id;
	bool terminal;
	bool no_parts; /* this role may not read them */
	struct bar bar;
	char state[16]; /* as of the last line */
	int64_t line_at; /* no other line before that, unless the state changes */
	int64_t line_done; /* bytes of the last line */
};

enum { STATE, BYTES_DONE, BYTES_TOTAL, ATTEMPTS, VERIFIED_BY, ERROR, WAITING_FOR };
static const char sql[] =
    "SELECT t.state, t.bytes_done, coalesce(t.bytes_total, -1),"
    "       t.attempt + t.crashes + t.ooms, t.verified_by, t.error,"
    "       CASE WHEN t.state = 'queued'"
    "            THEN (SELECT p.waiting_for FROM ferry.progress p WHERE p.id = t.id) END"
    "  FROM ferry.task t"
    " WHERE t.id = $1";

/* The upload that the task goes on with.  Sources of unknown length have none with a map. */
enum { PART_SIZE, SOURCE_SIZE, NUMBERS };
static const char sql_parts[] =
    "SELECT u.part_size, u.source_size,"
    "       (SELECT string_agg(p.number::text, ' ')"
    "          FROM ferry.part p"
    "         WHERE p.task = u.task"
    "           AND p.upload_id = u.upload_id)"
    "  FROM ferry.task t"
    "  JOIN ferry.upload u ON u.task = t.id AND u.first_claim = t.first_claim"
    " WHERE t.id = $1"
    "   AND NOT u.abandoned"
    "   AND NOT u.spoiled"
    "   AND u.part_size > 0"
    "   AND u.source_size > u.part_size";

static void
forget_parts(struct bar *bar)
{
	free(bar->recorded);
	bar->recorded = NULL;
	bar->nparts = 0;
}

static void
take_parts(struct bar *bar, const PGresult *res)
{
	int64_t part_size = ctl_number(res, 0, PART_SIZE), size = ctl_number(res, 0, SOURCE_SIZE);
	const char *p = PQgetvalue(res, 0, NUMBERS);
	unsigned char *recorded;
	int64_t nparts;
	char *end;
	long number;

	nparts = (size - 1) / part_size + 1;
	if (size != bar->total || nparts > PARTS_MAX)
		return;
	recorded = memory_alloc((size_t)nparts);
	for (; (number = strtol(p, &end, 10)) > 0; p = end)
		if (number <= nparts)
			recorded[number - 1] = 1;
	bar->part_size = part_size;
	bar->nparts = (int)nparts;
	bar->recorded = recorded;
}

static void
look_for_parts(struct watch *w)
{
	PGresult *res;

	forget_parts(&w->bar);
	if (w->no_parts)
		return;
	res = PQexecParams(w->ctl->conn, sql_parts, 1, NULL, &w->id, NULL, NULL, 0);
	if (db_error_class(res) == DB_ERR_ACCESS)
		w->no_parts = true;
	else if (db_error_class(res) == DB_ERR_NONE && PQntuples(res) == 1)
		take_parts(&w->bar, res);
	PQclear(res);
}

static void
show_waiting(const PGresult *res, const char *id)
{
	char text[CTL_TEXT_MAX];

	if (PQgetisnull(res, 0, WAITING_FOR))
		fprintf(stderr, "task %s queued", id);
	else
		fprintf(stderr, "task %s queued, waits for: %s", id,
		    ctl_clean(text, sizeof(text), PQgetvalue(res, 0, WAITING_FOR), CTL_WHOLE));
}

/* A line where there is no terminal: with a new state, and at intervals if bytes were moved. */
static bool
line_is_due(struct watch *w, int64_t now)
{
	bool is_new = strcmp(w->state, w->bar.state) != 0;

	if (!is_new && (now < w->line_at || w->bar.done == w->line_done))
		return false;
	strlcpy(w->state, w->bar.state, sizeof(w->state));
	w->line_at = now + LINE_INTERVAL_MS;
	w->line_done = w->bar.done;
	return true;
}

static void
show_progress(struct watch *w, const PGresult *res)
{
	int64_t now = clock_ms();
	char line[2048];

	w->bar.id = w->id;
	w->bar.state = PQgetvalue(res, 0, STATE);
	w->bar.done = ctl_number(res, 0, BYTES_DONE);
	w->bar.total = ctl_number(res, 0, BYTES_TOTAL);
	w->bar.attempt = ctl_number(res, 0, ATTEMPTS) + 1;
	bar_sample(&w->bar, now);
	if (!w->terminal && !line_is_due(w, now))
		return;
	if (w->terminal)
		fputs("\r\033[K", stderr);
	if (strcmp(w->bar.state, "queued") == 0) {
		show_waiting(res, w->id);
	} else {
		if (w->terminal)
			look_for_parts(w);
		bar_draw(&w->bar, now, w->terminal ? sheet_terminal(STDERR_FILENO) : 0, line,
		    sizeof(line));
		fputs(line, stderr);
	}
	fputs(w->terminal ? "" : "\n", stderr);
}

/* Prints the end of a finished task.  Returns the exit code. */
static int
print_outcome(const PGresult *res, const char *id)
{
	const char *state = PQgetvalue(res, 0, STATE), *verified = PQgetvalue(res, 0, VERIFIED_BY);
	char text[CTL_TEXT_MAX];

	if (strcmp(state, "done") == 0) {
		units_format_size(text, sizeof(text), ctl_number(res, 0, BYTES_DONE));
		fprintf(stderr, "task %s done: %s, verified by %s\n", id, text,
		    *verified != '\0' ? verified : "nothing");
		return 0;
	}
	ctl_clean(text, sizeof(text), PQgetvalue(res, 0, ERROR), CTL_WHOLE);
	warnx("task %s %s%s%s", id, state, *text != '\0' ? ": " : "", text);
	return CTL_FAILED;
}

/* Connects again, once a second.  Returns 0, or -1 if the database stays away. */
static int
wait_for_database(const struct watch *w)
{
	int64_t end = clock_ms() + AWAY_MAX_MS;

	fprintf(stderr, "%sferryctl: the database is away; waiting for it\n",
	    w->terminal ? "\r\033[K" : "");
	while (clock_ms() < end) {
		sleep(1);
		PQreset(w->ctl->conn);
		if (PQstatus(w->ctl->conn) == CONNECTION_OK)
			return 0;
	}
	warnx("the database has been away for %d s", AWAY_MAX_MS / 1000);
	return -1;
}

/* Shows one answer.  Returns the exit code, or -1 if the task is not finished. */
static int
take_row(struct watch *w, const PGresult *res)
{
	const char *state;

	if (PQntuples(res) == 0) {
		warnx("there is no task %s, or no longer", w->id);
		return CTL_FAILED;
	}
	state = PQgetvalue(res, 0, STATE);
	if (strcmp(state, "queued") == 0 || strcmp(state, "running") == 0) {
		show_progress(w, res);
		return -1;
	}
	fputs(w->terminal ? "\r\033[K" : "", stderr);
	return print_outcome(res, w->id);
}

int
ctl_wait(struct ctl *ctl, const char *id)
{
	const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
	struct watch w = { .ctl = ctl, .id = id };
	PGresult *res;
	int code = -1;

	w.terminal = isatty(STDERR_FILENO) && (term == NULL || strcmp(term, "dumb") != 0);
	w.bar.colours = w.terminal && (no_color == NULL || *no_color == '\0');
	ctl->quiet = true;
	while (code == -1) {
		res = ctl_query(ctl, sql, 1, &id);
		if (res != NULL)
			code = take_row(&w, res);
		else if (PQstatus(ctl->conn) == CONNECTION_OK)
			code = CTL_FAILED;
		else if (wait_for_database(&w) == -1)
			code = EX_UNAVAILABLE;
		PQclear(res);
		if (code == -1)
			usleep(LOOK_INTERVAL_US);
	}
	forget_parts(&w.bar);
	return code;
}

int
ctl_watch(struct ctl *ctl, int argc, char **argv)
{
	int code, failure = 0, i;

	if (argc < 2)
		return CTL_USAGE;
	for (i = 1; i < argc; i++)
		if (ctl_check_id(argv[i]) == -1)
			return CTL_USAGE;
	if ((code = ctl_connect(ctl)) != 0)
		return code;
	for (i = 1; i < argc; i++) {
		if ((code = ctl_wait(ctl, argv[i])) != 0)
			failure = code;
		if (code == EX_UNAVAILABLE)
			break;
	}
	return failure;
}
