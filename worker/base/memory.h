/*
 * How a worker keeps to its memory limit.  common/base/memory.h allocates; a worker that gets no
 * memory since it is at its RLIMIT_DATA exits with WORKER_EXIT_MEMORY, which the master takes for
 * "out of memory", as it takes the kernel's kill for the limit of the worker's cgroup.  If there is
 * another reason, it exits with WORKER_EXIT_REFUSED.
 */
#ifndef WORKER_BASE_MEMORY_H
#define WORKER_BASE_MEMORY_H

#include <stdint.h>

#include "common/base/memory.h"

/*
 * Must be called before any library allocates.  Gives libcurl and libcrypto allocators that never
 * return NULL, keeps the heap in one arena and freed memory for the next part, and makes thread
 * stacks (the resolver's) small, since RLIMIT_DATA counts them.
 */
void memory_init(void);

/*
 * The most bytes of memory that this process has ever had: the cgroup's peak if peak_file is
 * readable, else the largest resident set.
 */
int64_t memory_peak(const char *peak_file);

#endif
