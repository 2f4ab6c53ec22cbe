/*
 * What a process that hangs is doing, as /proc shows it.
 */
#ifndef MASTER_POOL_STUCK_H
#define MASTER_POOL_STUCK_H

#include <sys/types.h>

#include "common/base/log.h"

/*
 * Adds to a line of the log: the process's state and CPU seconds, and where the kernel lets us see
 * it, the kernel function and the system call (number and arguments) that the process waits in, and
 * the innermost functions of its kernel stack.  A worker hides from other processes of its account,
 * so that only a ferryd that runs as root sees all of this.
 */
void stuck_add_facts(pid_t pid, struct log_line *line);

#endif
