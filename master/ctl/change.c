/*
 * ferryctl cancel and retry: one call of an SQL function for each task.
 */
#include <err.h>
#include <stdio.h>

#include "master/ctl/ctl.h"

/* Says why nothing was changed: the state that the task is in, or that there is none. */
static void
say_why(struct ctl *ctl, const char *id, const char *verb)
{
	PGresult *res = ctl_query(ctl, "SELECT state FROM ferry.task WHERE id = $1", 1, &id);

	if (res == NULL)
		return;
	if (PQntuples(res) == 0)
		warnx("task %s: there is none", id);
	else
		warnx("task %s: it is %s, so there is nothing to %s", id, PQgetvalue(res, 0, 0),
		    verb);
	PQclear(res);
}

static int
change(struct ctl *ctl, int argc, char **argv, const char *sql, const char *past)
{
	const char *id;
	PGresult *res;
	int code, i;

	if (argc < 2)
		return CTL_USAGE;
	for (i = 1; i < argc; i++)
		if (ctl_check_id(argv[i]) == -1)
			return CTL_USAGE;
	if ((code = ctl_connect(ctl)) != 0)
		return code;
	for (i = 1; i < argc; i++) {
		id = argv[i];
		res = ctl_query(ctl, sql, 1, &id);
		if (res == NULL) {
			code = ctl_exit_code(ctl);
		} else if (PQgetvalue(res, 0, 0)[0] == 't') {
			printf("task %s %s\n", id, past);
		} else {
			say_why(ctl, id, argv[0]);
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
	return change(ctl, argc, argv, "SELECT ferry.cancel($1)", "cancelled");
}

int
ctl_retry(struct ctl *ctl, int argc, char **argv)
{
	return change(ctl, argc, argv, "SELECT ferry.retry($1)", "queued");
}
