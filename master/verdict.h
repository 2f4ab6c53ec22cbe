/*
 * What ended a worker process, from what the kernel and the worker itself have told: the words for
 * the log and for the task's row.
 */
#ifndef MASTER_VERDICT_H
#define MASTER_VERDICT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include "common/base/log.h"
#include "common/channel.h"
#include "master/cap/cap.h"

struct slot;

enum verdict_cause {
	CAUSE_EXIT, /* it ended itself */
	CAUSE_SIGNAL, /* it was killed, by itself, by the kernel for a fault, or by someone */
	CAUSE_US, /* we killed it */
	CAUSE_MEMORY, /* it hit its own cap */
	CAUSE_SHORTAGE, /* others were short of memory: the machine, or a cgroup above */
};

struct verdict {
	enum verdict_cause cause;
	int status; /* of wait(2) */
	const char *killed_for; /* a clause, if we killed it; else NULL */
	struct msg_fault fault; /* the worker's own words about its signal; signo 0: none */

	/* Memory, in bytes; -1: unknown. */
	enum memory_backend backend;
	struct cap_verdict memory;
	int64_t cap;
	int64_t resident; /* most that the process itself had */
	struct cap_kinds kinds; /* when it was last near its cap */

	char text[480]; /* see verdict_describe() */
};

/* Judges the end of the slot's process, which has been waited for. */
void verdict_judge(struct verdict *v, struct cap *cap, const struct slot *slot, int status,
    const struct rusage *usage);

/*
 * Writes v->text, as the log has it: "killed: signal 11 (Segmentation fault)", "exited: code 1",
 * "killed: out of memory, …".
 */
void verdict_describe(struct verdict *v);

/* The log's field "cause": "signal", "exit", "ferryd", "out_of_memory", "memory_shortage". */
const char *verdict_cause_name(const struct verdict *v);

/* Adds what helps to find the cause to a line of the log. */
void verdict_add_facts(const struct verdict *v, struct log_line *line);

#endif
