/*
 * Which means this kernel has to confine workers.  The workers use them: worker/filter.h and
 * worker/endpoint/landlock.h.
 */
#ifndef MASTER_OS_SANDBOX_H
#define MASTER_OS_SANDBOX_H

/* Logs by what the workers are confined, and what is missing. */
void sandbox_log(void);

#endif
