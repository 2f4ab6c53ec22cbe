/*
 * One statement and its answer, on top of the database handle: waits for it in the loop, sends again what the server put
 * off, and survives that whoever asked has given up before the answer came.
 */
#ifndef WORKER_QUERY_H
#define WORKER_QUERY_H

#include <libpq-fe.h>
#include <stdint.h>

#include "common/db.h"
#include "worker/failure.h"
#include "worker/worker.h"

#define QUERY_PARAMS_MAX 12

/* Parameters as text, built up one by one. */
struct query {
	const struct db_stmt *stmt;
	int nparams;
	const char *params[QUERY_PARAMS_MAX];
	char numbers[QUERY_PARAMS_MAX][24];
};

void query_init(struct query *q, const struct db_stmt *stmt);
void query_str(struct query *q, const char *value); /* kept by reference; NULL is NULL */
void query_int(struct query *q, int64_t value);
void query_uint(struct query *q, uint64_t value);
void query_null(struct query *q);

/* The answer's rows; called at most once, only while the caller waits. */
typedef void query_take(void *arg, const PGresult *res);

/* Returns 0, or -1: a failure, or interrupted. */
int query_wait(struct worker *w, const struct query *q, query_take *take, void *arg, struct failure *f);

/* Not interrupted, but for a stop's deadline.  Returns 0, -1 for a failure, 1 if time ran out. */
int query_insist(struct worker *w, const struct query *q, query_take *take, void *arg, struct failure *f);

#endif
