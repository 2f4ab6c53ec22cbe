/*
 * ferryctl pause and resume: one call of an SQL function for each queue.
 */
#include <err.h>
#include <stdio.h>

#include "master/ctl/ctl.h"

static int
switch_queues(struct ctl *ctl, int argc, char **argv, const char *sql, const char *past)
{
	char name[CTL_TEXT_MAX];
	const char *queue;
	PGresult *res;
	int code, i;

	if (argc < 2)
		return CTL_USAGE;
	if ((code = ctl_connect(ctl)) != 0)
		return code;
	for (i = 1; i < argc; i++) {
		queue = argv[i];
		ctl_clean(name, sizeof(name), queue, CTL_WHOLE);
		res = ctl_query(ctl, sql, 1, &queue);
		if (res == NULL) {
			code = ctl_exit_code(ctl);
		} else if (PQgetvalue(res, 0, 0)[0] == 't') {
			printf("queue %s %s\n", name, past);
		} else {
			warnx("queue %s is not there to %s, or that is done already", name, argv[0]);
			code = CTL_FAILED;
		}
		PQclear(res);
		if (PQstatus(ctl->conn) != CONNECTION_OK)
			break;
	}
	return code;
}

int
ctl_pause(struct ctl *ctl, int argc, char **argv)
{
	return switch_queues(ctl, argc, argv, "SELECT ferry.pause($1)", "paused");
}

int
ctl_resume(struct ctl *ctl, int argc, char **argv)
{
	return switch_queues(ctl, argc, argv, "SELECT ferry.resume($1)", "resumed");
}
