/*
 * Array literals for statements' parameters, written element by element.
 */
#ifndef MASTER_SQLARRAY_H
#define MASTER_SQLARRAY_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct sqlarray {
	FILE *out;
	char *text; /* after sqlarray_finish() */
	size_t len;
	int n;
};

/* Ends the process if there is no memory. */
void sqlarray_init(struct sqlarray *a);
void sqlarray_add_int(struct sqlarray *a, int64_t value);
void sqlarray_add_uint(struct sqlarray *a, uint64_t value);
void sqlarray_add_null(struct sqlarray *a);
void sqlarray_add_str(struct sqlarray *a, const char *value);
const char *sqlarray_finish(struct sqlarray *a);
void sqlarray_release(struct sqlarray *a);

#endif
