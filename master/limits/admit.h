/*
 * Whether a task that was claimed may begin here, by the health of its stores.
 */
#ifndef MASTER_LIMITS_ADMIT_H
#define MASTER_LIMITS_ADMIT_H

#include "master/limits/limits.h"

enum admit_verdict {
	ADMIT_GO,
	ADMIT_NOT_HERE, /* a store is not in our configuration: for other nodes */
	ADMIT_LATER, /* the host of its source is held */
};
struct admission {
	enum admit_verdict verdict;
	int64_t delay_ms; /* of ADMIT_LATER */
	char why[TASK_ERROR_MAX];
};

/* Decides on the task.  It may become the probe of the host of its source. */
void admit(struct limits *l, const struct task *task, struct admission *answer);

#endif
