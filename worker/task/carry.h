/*
 * Carries a task from its row to its result: the story of it, in the order of its steps.
 */
#ifndef WORKER_TASK_CARRY_H
#define WORKER_TASK_CARRY_H

#include "common/channel.h"
#include "worker/worker.h"

/*
 * Carries w->task to its end.  Settles the row unless the task is done: then the master does, with
 * what is in result.
 */
void carry_task(struct worker *w, struct msg_result *result);

#endif
