/*
 * One statement and its answer.  The caller waits in the loop.  A statement that the server put off
 * is sent again.  The caller may give up before the answer comes.
 */
#ifndef WORKER_EVENT_QUERY_H
#define WORKER_EVENT_QUERY_H

#include <libpq-fe.h>
#include <stdint.h>

#include "common/db/db.h"
#include "common/db/params.h"
#include "worker/base/failure.h"
#include "worker/worker.h"

struct query {
	const struct db_stmt *stmt;
	struct params params;
};

void query_init(struct query *q, const struct db_stmt *stmt);

/* Add the next parameter.  The caller keeps a text until the answer; NULL is SQL's NULL. */
static inline void
query_str(struct query *q, const char *value)
{
	params_text(&q->params, value);
}

static inline void
query_int(struct query *q, int64_t value)
{
	params_int(&q->params, value);
}

static inline void
query_uint(struct query *q, uint64_t value)
{
	params_uint(&q->params, value);
}

static inline void
query_null(struct query *q)
{
	params_null(&q->params);
}

/* Takes the rows of the answer.  Called at most once, only while the caller waits. */
typedef void query_take(void *arg, const PGresult *res);

/* Returns 0, or -1: with a failure, that no connection is to be had for example, or interrupted. */
int query_wait(
    struct worker *w, const struct query *q, query_take *take, void *arg, struct failure *f);

/* How query_insist() has ended. */
enum query_end {
	QUERY_FAILED = -1, /* with a failure */
	QUERY_DONE,
	QUERY_LATE, /* the deadline of a stop has passed, or no connection is to be had */
};

/* Like query_wait(), but only the deadline of a stop interrupts it. */
enum query_end query_insist(
    struct worker *w, const struct query *q, query_take *take, void *arg, struct failure *f);

#endif
