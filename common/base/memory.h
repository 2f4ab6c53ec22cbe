/*
 * Memory for callers that do not handle its lack.  A process that gets no memory logs how much it
 * asked for and exits, so none of these functions returns NULL.
 */
#ifndef COMMON_BASE_MEMORY_H
#define COMMON_BASE_MEMORY_H

#include <stddef.h>

/*
 * Sets what tells the exit code of a process that was refused size bytes.  It must not allocate.
 * EX_OSERR until then.
 */
void memory_set_exit_code(int (*code)(size_t size));

/* Zeroed. */
void *memory_alloc(size_t size);

/* Not zeroed, for what is written before it is read. */
void *memory_buffer(size_t size);

/* Resizes an array to n elements of size bytes.  What is new is not zeroed. */
void *memory_array(void *old, size_t n, size_t size);

char *memory_strdup(const char *s);

void memory_free(void *p);

/* Logs how much was asked for and ends the process, without the handlers of atexit(). */
void memory_exhausted(size_t size) __attribute__((noreturn));

#endif
