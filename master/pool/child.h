/*
 * The child between fork and exec.  The master makes the plan before it forks, so that the child
 * only has to follow it.
 */
#ifndef MASTER_POOL_CHILD_H
#define MASTER_POOL_CHILD_H

#include <stdbool.h>
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
	/* Descriptors. */
	int channel;
	int log; /* -1: none */
	int null;
	int image; /* ferry-worker */
	int procs; /* cgroup.procs of its leaf; -1: none */
	int report;
	bool keep_stderr;

	int64_t data_limit; /* RLIMIT_DATA, bytes; 0: none */
	char **argv;
	char **envp;
};

const char *child_step_name(int step);

void child_run(const struct child_plan *plan) __attribute__((noreturn));

#endif
