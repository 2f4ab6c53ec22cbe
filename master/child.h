/*
 * What runs in the child between fork and exec.  The plan is made before the fork, so that the child only follows it.
 */
#ifndef MASTER_CHILD_H
#define MASTER_CHILD_H

#include <stdint.h>

#define CHILD_EXIT 125 /* exit code of a child that did not get as far as exec */

enum child_step {
	CHILD_GROUP,
	CHILD_CGROUP,
	CHILD_LIMIT,
	CHILD_PRIVILEGES,
	CHILD_DESCRIPTORS,
	CHILD_SIGNALS,
	CHILD_EXEC,
};

/* Written to the report descriptor when a step fails. */
struct child_report {
	int step;
	int error;
};

struct child_plan {
	int channel;
	int log; /* -1: none */
	int null;
	int image;
	int procs; /* cgroup.procs of its leaf; -1: none */
	int report;
	int keep_stderr;
	int64_t data_limit; /* RLIMIT_DATA; 0: none */
	char **argv;
	char **envp;
};

const char *child_step_name(int step);

void child_run(const struct child_plan *plan) __attribute__((noreturn));

#endif
