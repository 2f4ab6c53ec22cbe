/*
 * ferryctl cancel, retry, priority, pause and resume: one call of an SQL function for each task or
 * queue that the command names.
 */
#include "master/ctl/ctl.h"

#include <err.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

/* A kind of thing that a command changes. */
struct kind {
	const char *name;
	bool has_id; /* names are tasks' ids */
	void (*explain)(struct ctl *ctl, const char *name); /* why nothing was changed */
};

struct change {
	const struct kind *kind;
	const char *sql; /* a boolean; $1 is the name, $2 the value if there is one */
	const char *value; /* or NULL */
	const char *past; /* "task 42 cancelled" */
};

/* Prints the state of the task, or that there is no such task. */
static void
explain_task(struct ctl *ctl, const char *id)
{
	PGresult *res = ctl_query(ctl, "SELECT state FROM ferry.task WHERE id = $1", 1, &id);
	enum { STATE };

	if (res == NULL)
		return;
	if (PQntuples(res) == 0)
		warnx("there is no task %s", id);
	else
		warnx("task %s: it is %s, so %s changes nothing", id, PQgetvalue(res, 0, STATE),
		    ctl->command->name);
	PQclear(res);
}

static void
explain_queue(struct ctl *ctl, const char *name)
{
	char text[CTL_TEXT_MAX];

	warnx("there is no queue %s to %s, or that is done already",
	    ctl_clean(text, sizeof(text), name, CTL_WHOLE), ctl->command->name);
}

/* The name of a queue that is not known may be a slip. */
static void
explain_unknown_queue(struct ctl *ctl, const char *name)
{
	PGresult *res =
	    ctl_query(ctl, "SELECT EXISTS (SELECT FROM ferry.queue q WHERE q.name = $1)", 1, &name);
	enum { EXISTS };
	char text[CTL_TEXT_MAX];

	ctl_clean(text, sizeof(text), name, CTL_WHOLE);
	if (res != NULL && PQgetvalue(res, 0, EXISTS)[0] == 't')
		warnx("queue %s is paused already", text);
	else if (res != NULL)
		warnx("nobody has named queue %s yet: it has no row in ferry.queue, no node serves "
		      "it "
		      "and no task waits in it; \"pause --create\" pauses it all the same",
		    text);
	PQclear(res);
}

static const struct kind task = { "task", true, explain_task };
static const struct kind queue = { "queue", false, explain_queue };
static const struct kind known_queue = { "queue", false, explain_unknown_queue };

/* Somebody has named the queue: an operator, a node, or a task that waits or runs. */
#define IS_KNOWN                                                          \
	"EXISTS (SELECT FROM ferry.queue q WHERE q.name = $1) "           \
	"OR EXISTS (SELECT FROM ferry.node n WHERE $1 = ANY (n.queues)) " \
	"OR EXISTS (SELECT FROM ferry.task t "                            \
	"WHERE t.queue = $1 AND t.state IN ('queued', 'running'))"
static const char sql_pause[] = "SELECT CASE WHEN " IS_KNOWN " THEN ferry.pause($1) ELSE false END";

const char ctl_pause_options[] = "  --create  pause queues that nobody has named yet, too\n";

/* Returns the exit code. */
static int
change_one(struct ctl *ctl, const char *name, const struct change *change)
{
	const char *params[2] = { name, change->value };
	PGresult *res = ctl_query(ctl, change->sql, change->value != NULL ? 2 : 1, params);
	enum { IS_CHANGED };
	char text[CTL_TEXT_MAX];
	int code = 0;

	if (res == NULL) {
		code = ctl_exit_code(ctl);
	} else if (PQgetvalue(res, 0, IS_CHANGED)[0] == 't') {
		printf("%s %s %s\n", change->kind->name,
		    ctl_clean(text, sizeof(text), name, CTL_WHOLE), change->past);
	} else {
		change->kind->explain(ctl, name);
		code = CTL_FAILED;
	}
	PQclear(res);
	return code;
}

/* Returns the exit code: 0 if every name was changed. */
static int
change_all(struct ctl *ctl, int n, char **names, const struct change *change)
{
	int code, failure = 0, i;

	if (n <= 0)
		return CTL_USAGE;
	for (i = 0; i < n; i++)
		if (change->kind->has_id && ctl_check_id(names[i]) == -1)
			return CTL_USAGE;
	if ((code = ctl_connect(ctl)) != 0)
		return code;
	for (i = 0; i < n; i++) {
		if ((code = change_one(ctl, names[i], change)) != 0)
			failure = code;
		if (PQstatus(ctl->conn) != CONNECTION_OK)
			break;
	}
	return failure;
}

/* life of a row: queued or running -> cancelled */
int
ctl_cancel(struct ctl *ctl, int argc, char **argv)
{
	static const struct change change = { &task, "SELECT ferry.cancel($1)", NULL, "cancelled" };

	return change_all(ctl, argc - 1, argv + 1, &change);
}

/* life of a row: failed or cancelled -> queued */
int
ctl_retry(struct ctl *ctl, int argc, char **argv)
{
	static const struct change change = { &task, "SELECT ferry.retry($1)", NULL, "queued" };

	return change_all(ctl, argc - 1, argv + 1, &change);
}

int
ctl_priority(struct ctl *ctl, int argc, char **argv)
{
	char past[64];
	struct change change = { &task, "SELECT ferry.reprioritise($1, $2)", NULL, past };
	const char *errstr;

	if (argc < 3)
		return CTL_USAGE;
	strtonum(argv[1], INT_MIN, INT_MAX, &errstr);
	if (errstr != NULL) {
		warnx("priority \"%s\" is %s", argv[1], errstr);
		return CTL_USAGE;
	}
	change.value = argv[1];
	snprintf(past, sizeof(past), "has priority %s", argv[1]);
	return change_all(ctl, argc - 2, argv + 2, &change);
}

int
ctl_pause(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = {
		{ "create", no_argument, NULL, 'c' },
		{ NULL, 0, NULL, 0 },
	};
	struct change change = { &known_queue, sql_pause, NULL, "paused" };
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == '?')
			return CTL_USAGE;
		change.kind = &queue;
		change.sql = "SELECT ferry.pause($1)";
	}
	return change_all(ctl, argc - optind, argv + optind, &change);
}

int
ctl_resume(struct ctl *ctl, int argc, char **argv)
{
	static const struct change change = { &queue, "SELECT ferry.resume($1)", NULL, "resumed" };

	return change_all(ctl, argc - 1, argv + 1, &change);
}
