/*
 * Memory.  A worker that cannot have the memory that it asks for ends with WORKER_EXIT_MEMORY: the master takes that as
 * the verdict "out of memory", as it takes the kernel's kill under a cgroup.  So nothing in the worker handles NULL.
 */
#ifndef WORKER_MEMORY_H
#define WORKER_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/*
 * First of all, before any library allocates: hands libcurl and libcrypto allocators that never return NULL, keeps the
 * heap in one arena and what was freed for the next part, and thread stacks (the resolver's) small, since RLIMIT_DATA counts them.
 */
void memory_init(void);

/* Zeroed.  Never NULL. */
void *memory_alloc(size_t size);
/* Not zeroed, for what is written before it is read.  Never NULL. */
void *memory_buffer(size_t size);
char *memory_strdup(const char *s);
void memory_free(void *p);

/* Logs what was asked for and ends the process. */
void memory_exhausted(size_t size) __attribute__((noreturn));

/* Most memory ever charged to this process, bytes: the cgroup's if peak_file is readable, else the resident set's. */
int64_t memory_peak(const char *peak_file);

#endif
