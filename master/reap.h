/*
 * The end of a worker process: what ended it, and whose fault that was.
 */
#ifndef MASTER_REAP_H
#define MASTER_REAP_H

#include "master/ferryd.h"

/* Waits (without waiting) for the slot's process.  Call when its pidfd is readable. */
void reap_slot(struct master *m, struct slot *slot);

/* How a process ended, as the log says it: "killed: signal 9 (Killed)", "exited: code 1", "killed: out of memory, …". */
void reap_describe(char *buf, size_t size, int status, bool memory, int64_t peak, int64_t cap, enum memory_backend backend);

#endif
