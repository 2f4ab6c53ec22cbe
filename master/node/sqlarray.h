/*
 * PostgreSQL's array literals, written element by element, for parameters of statements (the
 * documentation's "Arrays", "Array Input and Output Syntax").
 */
#ifndef MASTER_NODE_SQLARRAY_H
#define MASTER_NODE_SQLARRAY_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct sqlarray {
	FILE *out; /* NULL after sqlarray_finish() */
	char *text; /* complete after sqlarray_finish() */
	size_t len;
	int n; /* elements */
};

/* These functions end the process if there is no memory. */
void sqlarray_init(struct sqlarray *a);
void sqlarray_add_int(struct sqlarray *a, int64_t value);
void sqlarray_add_uint(struct sqlarray *a, uint64_t value);
void sqlarray_add_null(struct sqlarray *a);
void sqlarray_add_str(struct sqlarray *a, const char *value);

/* Returns the literal, which lives until sqlarray_release(). */
const char *sqlarray_finish(struct sqlarray *a);
void sqlarray_release(struct sqlarray *a);

#endif
