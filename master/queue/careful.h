/*
 * One row never stops the queue.  If the database cannot read a row for a claim, such as one whose
 * bytes are not UTF-8 in a database of another encoding, the whole statement fails.  The next
 * claims then take one task each, without its texts, and read it by a statement of its own.  The
 * task that cannot be read fails with the reason, and claims are as before.
 */
#ifndef MASTER_QUEUE_CAREFUL_H
#define MASTER_QUEUE_CAREFUL_H

#include <libpq-fe.h>
#include <stdbool.h>

#include "common/db/db.h"
#include "master/queue/queue.h"

/* Whether the error is one of the data: the same statement would fail again. */
bool careful_is_about_data(const PGresult *res);

/* Whether another node has claimed a task of the same destination at the same moment. */
bool careful_is_clash(const PGresult *res);

/* A claim failed.  Returns whether the next one has a chance, since it reads numbers only. */
bool careful_begin(struct queue *q, const PGresult *res);

/*
 * Reads the task whose numbers a claim has brought, if any; cb gets its row.  Returns false if the
 * claim has brought none.
 */
bool careful_read(struct queue *q, const PGresult *res, db_callback *cb);

/* The task of careful_read() cannot be read: it fails. */
void careful_refuse(struct queue *q, const PGresult *res);

#endif
