/*
 * ferryctl cancel, retry and priority, pause and resume: one call of an SQL function for each task, or queue.
 */
#include <err.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "master/ctl/ctl.h"

/* What a command is about. */
struct kind {
	const char *name;
	bool has_id; /* or else a name of any form */
	void (*say_why)(struct ctl *ctl, const char *which); /* nothing was changed */
};

/* The state that the task is in, or that there is none. */
static void
say_why_task(struct ctl *ctl, const char *id)
{
	PGresult *res = ctl_query(ctl, "SELECT state FROM ferry.task WHERE id = $1", 1, &id);

	if (res == NULL)
		return;
	if (PQntuples(res) == 0)
		warnx("task %s: there is none", id);
	else
		warnx("task %s: it is %s, so %s changes nothing", id, PQgetvalue(res, 0, 0), ctl->command->name);
	PQclear(res);
}

static void
say_why_queue(struct ctl *ctl, const char *name)
{
	char text[CTL_TEXT_MAX];

	warnx("queue %s is not there to %s, or that is done already", ctl_clean(text, sizeof(text), name, CTL_WHOLE),
	    ctl->command->name);
}

static const struct kind tasks = { "task", true, say_why_task };
static const struct kind queues = { "queue", false, say_why_queue };

/* They are the arguments from the first one on; a second parameter of sql, the same for all, may be NULL. */
static int
change(struct ctl *ctl, int argc, char **argv, int first, const struct kind *kind, const char *sql, const char *second,
    const char *past)
{
	const char *params[2];
	char text[CTL_TEXT_MAX];
	PGresult *res;
	int code, i;

	if (argc <= first)
		return CTL_USAGE;
	for (i = first; i < argc; i++)
		if (kind->has_id && ctl_check_id(argv[i]) == -1)
			return CTL_USAGE;
	if ((code = ctl_connect(ctl)) != 0)
		return code;
	params[1] = second;
	for (i = first; i < argc; i++) {
		params[0] = argv[i];
		res = ctl_query(ctl, sql, second != NULL ? 2 : 1, params);
		if (res == NULL) {
			code = ctl_exit_code(ctl);
		} else if (PQgetvalue(res, 0, 0)[0] == 't') {
			printf("%s %s %s\n", kind->name, ctl_clean(text, sizeof(text), argv[i], CTL_WHOLE), past);
		} else {
			kind->say_why(ctl, argv[i]);
			code = CTL_FAILED;
		}
		PQclear(res);
		if (PQstatus(ctl->conn) != CONNECTION_OK)
			break;
	}
	return code;
}

int
ctl_cancel(struct ctl *ctl, int argc, char **argv)
{
	return change(ctl, argc, argv, 1, &tasks, "SELECT ferry.cancel($1)", NULL, "cancelled");
}

int
ctl_retry(struct ctl *ctl, int argc, char **argv)
{
	return change(ctl, argc, argv, 1, &tasks, "SELECT ferry.retry($1)", NULL, "queued");
}

int
ctl_priority(struct ctl *ctl, int argc, char **argv)
{
	const char *errstr;
	char past[64];

	if (argc < 3)
		return CTL_USAGE;
	strtonum(argv[1], INT_MIN, INT_MAX, &errstr);
	if (errstr != NULL) {
		warnx("priority \"%s\" is %s", argv[1], errstr);
		return CTL_USAGE;
	}
	snprintf(past, sizeof(past), "has priority %s", argv[1]);
	return change(ctl, argc, argv, 2, &tasks, "SELECT ferry.reprioritise($1, $2)", argv[1], past);
}

int
ctl_pause(struct ctl *ctl, int argc, char **argv)
{
	return change(ctl, argc, argv, 1, &queues, "SELECT ferry.pause($1)", NULL, "paused");
}

int
ctl_resume(struct ctl *ctl, int argc, char **argv)
{
	return change(ctl, argc, argv, 1, &queues, "SELECT ferry.resume($1)", NULL, "resumed");
}
