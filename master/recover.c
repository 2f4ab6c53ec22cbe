/*
 * Owns the statements that return tasks to the queue which no worker carries.
 */
#include "master/recover.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/log.h"
#include "master/claim.h"
#include "master/pool.h"
#include "master/prefetch.h"
#include "master/queue.h"
#include "master/results.h"
#include "master/settle.h"
#include "master/sqlarray.h"
#include "master/stock.h"

/* For the partition, and for the index of what is running: see schema-004.sql. */
#define RUNNING(t) t "state = 'running' AND (" t "state = 'running') IS TRUE"

/*
 * Nodes that have not renewed for a lease are gone, unless it was the database that was away; their tasks, and those of
 * nodes that are not there at all, return to the queue.
 */
static const struct db_stmt stmt_rescue = {
	.name = "rescue",
	.nparams = 1,
	.sql = "WITH lapsed AS MATERIALIZED (DELETE FROM ferry.node WHERE id <> $1::bigint AND renewed_at + lease < now() "
	       "AND pg_postmaster_start_time() + lease < now() RETURNING id, name, pid), "
	       "back AS (UPDATE ferry.task t SET state = 'queued', node = NULL, worker = NULL "
	       "WHERE " RUNNING("t.") " AND (t.node IN (SELECT id FROM lapsed) "
	       "OR NOT EXISTS (SELECT FROM ferry.node n WHERE n.id = t.node)) RETURNING t.id, pg_notify('ferry_task', '')) "
	       "SELECT (SELECT count(*) FROM back), (SELECT string_agg(format('%s (pid %s)', name, pid), ', ') FROM lapsed) "
	       "WHERE EXISTS (SELECT FROM back) OR EXISTS (SELECT FROM lapsed)",
};

/* Tasks that the table says we have and no worker of ours has: the answer to a claim was lost. */
static const struct db_stmt stmt_reconcile = {
	.name = "reconcile",
	.nparams = 3,
	.sql = "UPDATE ferry.task t SET state = 'queued', node = NULL, worker = NULL "
	       "WHERE t.node = $1::bigint AND " RUNNING("t.") " AND NOT EXISTS (SELECT FROM unnest($2::bigint[], $3::bigint[]) "
	       "AS h(id, claim) WHERE h.id = t.id AND h.claim = t.claim) RETURNING t.id, pg_notify('ferry_task', '')",
};

static const struct db_stmt stmt_leave = {
	.name = "leave",
	.nparams = 1,
	.sql = "WITH back AS (UPDATE ferry.task SET state = 'queued', node = NULL, worker = NULL "
	       "WHERE node = $1::bigint AND " RUNNING("") " RETURNING id, pg_notify('ferry_task', '')), "
	       "gone AS (DELETE FROM ferry.node WHERE id = $1::bigint) SELECT count(*) FROM back",
};

static void
reconciled(void *arg, enum db_status status, PGresult *res)
{
	struct master *m = arg;
	int i;

	if (status == DB_ERROR)
		queue_log_error(m, "looking for lost tasks", res);
	if (status != DB_OK)
		return;
	for (i = 0; i < PQntuples(res); i++)
		log_warn("task %s: claimed, but the answer was lost; requeued", PQgetvalue(res, i, 0));
	if (PQntuples(res) > 0)
		claim_wake(m);
}

void
recover_list(const struct master *m, struct sqlarray *ids, struct sqlarray *claims)
{
	const struct slot *slot;
	const struct death *death;

	POOL_FOREACH (slot, m)
		if (slot->task != NULL) {
			sqlarray_add_int(ids, slot->task->id);
			sqlarray_add_int(claims, slot->task->claim);
		}
	TAILQ_FOREACH (death, &m->deaths, entry) {
		sqlarray_add_int(ids, death->task);
		sqlarray_add_int(claims, death->claim);
	}
	results_list(m, ids, claims);
	prefetch_list(m, ids, claims, NULL);
	stock_list(m, ids, claims, NULL);
}

static void
reconcile(struct master *m)
{
	struct sqlarray ids, claims;
	char node[24];
	const char *params[3] = { node, NULL, NULL };

	snprintf(node, sizeof(node), "%" PRId64, m->queue.node);
	sqlarray_init(&ids);
	sqlarray_init(&claims);
	recover_list(m, &ids, &claims);
	params[1] = sqlarray_finish(&ids);
	params[2] = sqlarray_finish(&claims);
	db_submit(m->db, &stmt_reconcile, params, DB_ONCE, reconciled, m);
	sqlarray_release(&claims);
	sqlarray_release(&ids);
}

void
recover_reconcile(struct master *m)
{
	m->queue.reconcile_wanted = true;
	recover_claim_answered(m);
}

void
recover_claim_answered(struct master *m)
{
	struct queue *q = &m->queue;

	if (!q->reconcile_wanted || q->claiming || q->link != LINK_READY)
		return;
	q->reconcile_wanted = false;
	reconcile(m);
}

static void
rescued(void *arg, enum db_status status, PGresult *res)
{
	struct master *m = arg;

	m->queue.rescuing = false;
	if (status == DB_ERROR)
		queue_log_error(m, "looking after other nodes", res);
	if (status != DB_OK || PQntuples(res) == 0)
		return;
	if (PQgetisnull(res, 0, 1))
		log_warn("tasks of nodes that are gone: %s requeued", PQgetvalue(res, 0, 0));
	else
		log_warn("lease of %s has lapsed: %s tasks requeued", PQgetvalue(res, 0, 1), PQgetvalue(res, 0, 0));
	claim_wake(m);
}

void
recover_rescue(struct master *m)
{
	char node[24];
	const char *params[] = { node };

	if (m->queue.rescuing)
		return;
	m->queue.rescuing = true;
	snprintf(node, sizeof(node), "%" PRId64, m->queue.node);
	db_submit(m->db, &stmt_rescue, params, DB_ONCE, rescued, m);
}

static void
left(void *arg, enum db_status status, PGresult *res)
{
	struct master *m = arg;
	char why[256];

	if (status == DB_ERROR)
		log_error("leaving: the database refuses: %s", db_error_message(res, why, sizeof(why)));
	m->queue.left = true;
}

bool
recover_leave(struct master *m)
{
	char node[24];
	const char *params[] = { node };

	if (m->queue.node == 0 || !db_is_up(m->db))
		return false;
	snprintf(node, sizeof(node), "%" PRId64, m->queue.node);
	db_submit(m->db, &stmt_leave, params, DB_REPEAT, left, m);
	return true;
}
