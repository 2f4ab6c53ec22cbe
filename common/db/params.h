/*
 * The parameters of a statement as text, added in the order $1, $2, …  An owner begins with
 * struct params p = { .n = 0 } and gives p.values to db_submit().
 */
#ifndef COMMON_DB_PARAMS_H
#define COMMON_DB_PARAMS_H

#include <stdbool.h>
#include <stdint.h>

#define PARAMS_MAX 12

struct params {
	int n;
	const char *values[PARAMS_MAX];
	char numbers[PARAMS_MAX][24]; /* the texts of those that are numbers */
};

/* Keeps a reference to value, not a copy.  NULL is SQL's NULL. */
void params_text(struct params *p, const char *value);
void params_int(struct params *p, int64_t value);
void params_uint(struct params *p, uint64_t value);
void params_bool(struct params *p, bool value);
void params_null(struct params *p);

#endif
