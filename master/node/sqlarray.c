#include "master/node/sqlarray.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/base/memory.h"

void
sqlarray_init(struct sqlarray *a)
{
	a->n = 0;
	a->text = NULL;
	a->len = 0;
	a->out = open_memstream(&a->text, &a->len);
	if (a->out == NULL)
		memory_exhausted(a->len);
	putc_unlocked('{', a->out);
}

static void
separate(struct sqlarray *a)
{
	if (a->n++ > 0)
		putc_unlocked(',', a->out);
}

void
sqlarray_add_int(struct sqlarray *a, int64_t value)
{
	separate(a);
	fprintf(a->out, "%" PRId64, value);
}

void
sqlarray_add_uint(struct sqlarray *a, uint64_t value)
{
	separate(a);
	fprintf(a->out, "%" PRIu64, value);
}

void
sqlarray_add_null(struct sqlarray *a)
{
	separate(a);
	fputs("NULL", a->out);
}

void
sqlarray_add_str(struct sqlarray *a, const char *value)
{
	separate(a);
	putc_unlocked('"', a->out);
	for (; *value != '\0'; value++) {
		if (*value == '"' || *value == '\\')
			putc_unlocked('\\', a->out);
		putc_unlocked(*value, a->out);
	}
	putc_unlocked('"', a->out);
}

const char *
sqlarray_finish(struct sqlarray *a)
{
	putc_unlocked('}', a->out);
	if (fclose(a->out) != 0)
		memory_exhausted(a->len);
	a->out = NULL;
	return a->text;
}

void
sqlarray_release(struct sqlarray *a)
{
	if (a->out != NULL)
		fclose(a->out);
	free(a->text);
}
