/*
 * For the files that write to the database: checkpoint.c, settle.c and spoiled.c.
 */
#ifndef WORKER_TRANSFER_PRIVATE_H
#define WORKER_TRANSFER_PRIVATE_H

#include "worker/event/query.h"
#include "worker/transfer/transfer.h"

/* Begins a statement about the task in work: $1 is its id, $2 our claim. */
static inline void
query_task(struct query *q, const struct db_stmt *stmt, const struct transfer *t)
{
	query_init(q, stmt);
	query_int(q, t->task->id);
	query_int(q, t->task->claim);
}

/* True if the column holds SQL's true. */
static inline bool
column_is_true(const PGresult *res, int row, int column)
{
	return PQgetvalue(res, row, column)[0] == 't';
}

#endif
