#include "master/queue/due.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "master/node/planner.h"

/*
 * How long until the next task is due that is not due yet: the first task of each priority is found
 * by the index alone.
 */
static const struct db_stmt stmt_next_due = {
	.name = "next_due",
	.nparams = 0,
	.sql = "WITH RECURSIVE level(rank) AS ("
	       "(SELECT ~t.priority FROM ferry.task_live t "
	       "WHERE " TASK_READY(
		   "t.") " "
			 "ORDER BY ~t.priority "
			 "LIMIT 1) "
			 "UNION ALL "
			 "SELECT (SELECT ~t.priority FROM ferry.task_live t "
			 "WHERE " TASK_READY(
			     "t.") " AND ~t.priority > l.rank "
				   "ORDER BY ~t.priority "
				   "LIMIT 1) "
				   "FROM level l "
				   "WHERE l.rank IS NOT NULL) "
				   "SELECT ceil(extract(epoch FROM least(min(d.run_at), now() + "
				   "interval '1 day') - "
				   "clock_timestamp()) * 1000)::bigint "
				   "FROM level l CROSS JOIN LATERAL ("
				   "SELECT t.run_at FROM ferry.task_live t "
				   "WHERE " TASK_READY(
				       "t.") " AND ~t.priority = l.rank AND t.run_at > now() "
					     "ORDER BY t.run_at "
					     "LIMIT 1) d",
};
enum { NEXT_DUE_MS };

static void
told(void *arg, enum db_status status, PGresult *res)
{
	struct queue *q = arg;
	int64_t ms;

	q->due.asking = false;
	refusals_note(&q->node->refusals, WORK_DUE, status, res);
	if (status != DB_OK || PQntuples(res) == 0 || PQgetisnull(res, 0, NEXT_DUE_MS))
		return;
	ms = strtoll(PQgetvalue(res, 0, NEXT_DUE_MS), NULL, 10);
	q->due.at = ms < q->state->conf->poll_ms ? clock_ms() + (ms > 0 ? ms : 0) : 0;
}

void
due_ask(struct queue *q)
{
	if (q->due.asking || state_is_ending(q->state))
		return;
	q->due.asking = true;
	db_submit(q->node->db, &stmt_next_due, NULL, DB_ONCE, told, q);
}
