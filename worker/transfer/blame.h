/*
 * Whose trouble the failure of an attempt is: whether the attempt counts, and what the master is
 * told, who holds stores that are in trouble.
 */
#ifndef WORKER_TRANSFER_BLAME_H
#define WORKER_TRANSFER_BLAME_H

#include "common/channel.h"
#include "worker/transfer/transfer.h"

/*
 * Whether the attempt that has ended with t->failure counts.  It counts if the object may be the
 * reason.  The object is not, if the store fails other tasks, too.
 */
bool blame_counts(const struct transfer *t);

/* A part was read from the source, and the destination has it. */
void blame_served(struct transfer *t);

/* Which of the two stores have served this task since the last report. */
void blame_report_served(struct transfer *t, int served[TASK_ENDS]);

/* Writes the failure into the result, if there is one, and which stores have served the task. */
void blame_report(struct transfer *t, struct msg_result *result);

#endif
