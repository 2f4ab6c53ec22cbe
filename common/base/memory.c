#include "common/base/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/log.h"

static int
usual_code(size_t size)
{
	(void)size;
	return EX_OSERR;
}

static int (*exit_code)(size_t) = usual_code;

void
memory_set_exit_code(int (*code)(size_t size))
{
	exit_code = code;
}

void
memory_exhausted(size_t size)
{
	log_error("out of memory: cannot allocate %zu bytes", size);
	_exit(exit_code(size));
}

void *
memory_alloc(size_t size)
{
	void *p = calloc(1, size > 0 ? size : 1);

	if (p == NULL)
		memory_exhausted(size);
	return p;
}

void *
memory_buffer(size_t size)
{
	void *p = malloc(size);

	if (p == NULL && size > 0)
		memory_exhausted(size);
	return p;
}

void *
memory_array(void *old, size_t n, size_t size)
{
	void *p = reallocarray(old, n, size);

	if (p == NULL && n > 0 && size > 0)
		memory_exhausted(n > SIZE_MAX / size ? SIZE_MAX : n * size);
	return p;
}

char *
memory_strdup(const char *s)
{
	char *p = strdup(s);

	if (p == NULL)
		memory_exhausted(strlen(s) + 1);
	return p;
}

void
memory_free(void *p)
{
	free(p);
}
