#include "master/queue/requeue.h"

#include "common/base/log.h"
#include "common/base/uri.h"
#include "common/db/params.h"
#include "master/node/planner.h"
#include "master/queue/held.h"

/*
 * What the next attempt may resume from.  The row of a running task counts bytes in flight too, and
 * these are lost.
 */
#define RECORDED_BYTES                                                        \
	"CASE WHEN t.bytes_done > 0 THEN coalesce(("                          \
	"SELECT sum(p.size) "                                                 \
	"FROM ferry.upload u "                                                \
	"JOIN ferry.part p ON p.task = u.task AND p.upload_id = u.upload_id " \
	"WHERE u.task = t.id AND u.first_claim = t.first_claim "              \
	"AND NOT u.abandoned AND NOT u.spoiled), 0) ELSE 0 END"

/*
 * Removes nodes that have not renewed for a lease, unless it was the database that was away: the
 * server has run for a lease, and our connection, which is $2 milliseconds old, has been up for
 * one.  A standby that was promoted has run for long, but nobody could renew there before.  The
 * tasks of the nodes return to the queue, and so do those of nodes that have no row.
 *
 * life of a row: running -> queued
 */
static const struct db_stmt stmt_rescue = {
	.name = "rescue",
	.nparams = 2,
	.sql = "WITH lapsed AS MATERIALIZED ("
	       "DELETE FROM ferry.node "
	       "WHERE id <> $1::bigint "
	       "AND renewed_at + lease < now() "
	       "AND pg_postmaster_start_time() + lease < now() "
	       "AND $2::bigint * interval '1 millisecond' > lease "
	       "RETURNING id, name, pid), "
	       "back AS ("
	       "UPDATE ferry.task t "
	       "SET state = 'queued', node = NULL, worker = NULL, "
	       "bytes_done = " RECORDED_BYTES " "
	       "WHERE " TASK_RUNNING(
		   "t.") " AND (t.node IN (SELECT id FROM lapsed) "
			 "OR NOT EXISTS (SELECT FROM ferry.node n WHERE n.id = t.node)) "
			 "RETURNING t.id, pg_notify('ferry_task', '')) "
			 "SELECT (SELECT count(*) FROM back), "
			 "(SELECT string_agg(format('%s (pid %s)', name, pid), ', ') FROM lapsed) "
			 "WHERE EXISTS (SELECT FROM back) OR EXISTS (SELECT FROM lapsed)",
};
enum { RESCUED_TASKS, RESCUED_NODES };

/*
 * Requeues tasks that the table says we hold and that we do not: the answer to a claim was lost.
 *
 * life of a row: running -> queued
 */
static const struct db_stmt stmt_reconcile = {
	.name = "reconcile",
	.nparams = 3,
	.sql = "UPDATE ferry.task t "
	       "SET state = 'queued', node = NULL, worker = NULL, "
	       "bytes_done = " RECORDED_BYTES " "
	       "WHERE t.node = $1::bigint AND " TASK_RUNNING(
		   "t.") " AND NOT EXISTS ("
			 "SELECT FROM unnest($2::bigint[], $3::bigint[]) AS h(id, claim) "
			 "WHERE h.id = t.id AND h.claim = t.claim) "
			 "RETURNING t.id, t.source, t.destination, pg_notify('ferry_task', '')",
};
enum { RECONCILED_ID, RECONCILED_SOURCE, RECONCILED_DESTINATION };

/* life of a row: running -> queued */
static const struct db_stmt stmt_leave = {
	.name = "leave",
	.nparams = 1,
	.sql = "WITH back AS ("
	       "UPDATE ferry.task t "
	       "SET state = 'queued', node = NULL, worker = NULL, "
	       "bytes_done = " RECORDED_BYTES " "
	       "WHERE t.node = $1::bigint AND " TASK_RUNNING(
		   "t.") " "
			 "RETURNING t.id, pg_notify('ferry_task', '')), "
			 "gone AS (DELETE FROM ferry.node WHERE id = $1::bigint) "
			 "SELECT count(*) FROM back",
};

static void
log_reconciled(const PGresult *res, int row)
{
	const char *id = PQgetvalue(res, row, RECONCILED_ID);
	char source[URI_SHOWN], destination[URI_SHOWN];
	struct log_line line;

	log_begin(&line, LOG_WARNING, "task %s: claimed, but the answer was lost; requeued", id);
	log_str(&line, "task", id);
	log_str(&line, "source",
	    uri_redact(source, sizeof(source), PQgetvalue(res, row, RECONCILED_SOURCE)));
	log_str(&line, "destination",
	    uri_redact(
		destination, sizeof(destination), PQgetvalue(res, row, RECONCILED_DESTINATION)));
	log_end(&line);
}

static void
reconciled(void *arg, enum db_status status, PGresult *res)
{
	struct queue *q = arg;
	int i;

	if (status == DB_ERROR)
		refusals_add(&q->node->refusals, WORK_RECONCILE, res);
	if (status != DB_OK)
		return;
	refusals_relieve(&q->node->refusals, WORK_RECONCILE);
	for (i = 0; i < PQntuples(res); i++)
		log_reconciled(res, i);
	if (PQntuples(res) > 0)
		agenda_claim(&q->state->agenda);
}

static void
reconcile(struct queue *q)
{
	struct params p = { .n = 0 };
	struct sqlarray ids, claims;

	sqlarray_init(&ids);
	sqlarray_init(&claims);
	held_list(q, &ids, &claims);
	params_int(&p, node_id(q->node));
	params_text(&p, sqlarray_finish(&ids));
	params_text(&p, sqlarray_finish(&claims));
	q->state->agenda.reconcile = false;
	db_submit(q->node->db, &stmt_reconcile, p.values, DB_ONCE, reconciled, q);
	sqlarray_release(&claims);
	sqlarray_release(&ids);
}

static void
rescued(void *arg, enum db_status status, PGresult *res)
{
	struct queue *q = arg;

	q->requeue.rescuing = false;
	if (status == DB_ERROR)
		refusals_add(&q->node->refusals, WORK_RESCUE, res);
	if (status != DB_OK)
		return;
	refusals_relieve(&q->node->refusals, WORK_RESCUE);
	if (PQntuples(res) == 0)
		return;
	if (PQgetisnull(res, 0, RESCUED_NODES))
		log_warn(
		    "tasks of nodes that are gone: %s requeued", PQgetvalue(res, 0, RESCUED_TASKS));
	else
		log_warn("lease of %s has lapsed: %s tasks requeued",
		    PQgetvalue(res, 0, RESCUED_NODES), PQgetvalue(res, 0, RESCUED_TASKS));
	agenda_claim(&q->state->agenda);
}

static void
rescue(struct queue *q)
{
	struct params p = { .n = 0 };

	q->state->agenda.rescue = false;
	if (q->requeue.rescuing)
		return;
	q->requeue.rescuing = true;
	params_int(&p, node_id(q->node));
	params_int(&p, db_age(q->node->db));
	db_submit(q->node->db, &stmt_rescue, p.values, DB_ONCE, rescued, q);
}

void
requeue_run(struct queue *q)
{
	const struct agenda *a = &q->state->agenda;

	if (!link_is_ready(q->node))
		return;
	if (a->rescue)
		rescue(q);
	if (a->reconcile && q->claim.asked.kind == CLAIM_NONE)
		reconcile(q);
}

static void
left(void *arg, enum db_status status, PGresult *res)
{
	struct queue *q = arg;
	char why[256];

	if (status == DB_ERROR)
		log_error(
		    "leaving: the database refuses: %s", db_error_message(res, why, sizeof(why)));
	q->requeue.leave = LEAVE_DONE;
}

bool
requeue_leave(struct queue *q)
{
	struct params p = { .n = 0 };

	if (q->requeue.leave != LEAVE_NOT || node_id(q->node) == 0 || !db_is_up(q->node->db))
		return false;
	q->requeue.leave = LEAVE_ASKED;
	params_int(&p, node_id(q->node));
	db_submit(q->node->db, &stmt_leave, p.values, DB_REPEAT, left, q);
	return true;
}

bool
requeue_has_left(const struct queue *q)
{
	return q->requeue.leave == LEAVE_DONE;
}
