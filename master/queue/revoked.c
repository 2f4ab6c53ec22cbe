#include "master/queue/revoked.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/db/params.h"
#include "master/queue/assign.h"
#include "master/queue/held.h"
#include "master/queue/stock.h"

/*
 * Which of our claims are revoked.  A task that was claimed ahead has no worker in its row; the
 * first check that finds a worker carrying it writes which one.  A row that is just being settled
 * over the second connection is locked, and is skipped.
 */
static const struct db_stmt stmt_revoked = {
	.name = "revoked_claims",
	.nparams = 3,
	.sql = "WITH h AS MATERIALIZED ("
	       "SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::integer[]) "
	       "AS h(id, claim, worker)), "
	       "unseated AS MATERIALIZED ("
	       "SELECT t.id, t.claim, h.worker "
	       "FROM h JOIN ferry.task t ON t.id = h.id "
	       "WHERE t.claim = h.claim AND t.state = 'running' "
	       "AND h.worker > 0 AND t.worker IS DISTINCT FROM h.worker "
	       "FOR UPDATE OF t SKIP LOCKED), "
	       "seated AS ("
	       "UPDATE ferry.task t SET worker = u.worker "
	       "FROM unseated u "
	       "WHERE t.id = u.id AND t.claim = u.claim AND t.state = 'running') "
	       "SELECT h.id, h.claim FROM h "
	       "WHERE NOT EXISTS ("
	       "SELECT FROM ferry.task t "
	       "WHERE t.id = h.id AND t.claim = h.claim AND t.state = 'running')",
};
enum { REVOKED_ID, REVOKED_CLAIM };

struct lists {
	struct sqlarray ids;
	struct sqlarray claims;
	struct sqlarray workers;
};

static void
drop(struct queue *q, int64_t task, int64_t claim)
{
	struct slot *slot;

	POOL_FOREACH (slot, q->pool) {
		if (slot_has_task(slot, task, claim))
			assign_cancel(slot);
		if (slot_has_next(slot, task, claim))
			assign_cancel_next(slot);
	}
	stock_drop(q, task, claim);
}

static void
checked(void *arg, enum db_status status, PGresult *res)
{
	struct queue *q = arg;
	int i;

	q->revoked.checking = false;
	refusals_note(&q->node->refusals, WORK_REVOKED, status, res);
	if (status != DB_OK)
		return;
	for (i = 0; i < PQntuples(res); i++)
		drop(q, strtoll(PQgetvalue(res, i, REVOKED_ID), NULL, 10),
		    strtoll(PQgetvalue(res, i, REVOKED_CLAIM), NULL, 10));
}

/* A task that is over, or that its worker was told to drop, need not be looked at. */
static void
append(void *arg, const struct held *held)
{
	struct lists *lists = arg;

	if (held->place == HELD_DEATH || held->place == HELD_DONE || held->cancelled)
		return;
	sqlarray_add_int(&lists->ids, held->task);
	sqlarray_add_int(&lists->claims, held->claim);
	sqlarray_add_int(&lists->workers, held->worker);
}

static void
check(struct queue *q)
{
	struct agenda *a = &q->state->agenda;
	struct params p = { .n = 0 };
	struct lists lists;

	sqlarray_init(&lists.ids);
	sqlarray_init(&lists.claims);
	sqlarray_init(&lists.workers);
	held_walk(q, append, &lists);
	a->check = false;
	a->check_at = lists.ids.n > 0 ? clock_ms() + AGENDA_CHECK_MS : 0;
	params_text(&p, sqlarray_finish(&lists.ids));
	params_text(&p, sqlarray_finish(&lists.claims));
	params_text(&p, sqlarray_finish(&lists.workers));
	if (lists.ids.n > 0) {
		q->revoked.checking = true;
		db_submit(q->node->db, &stmt_revoked, p.values, DB_ONCE, checked, q);
	}
	sqlarray_release(&lists.workers);
	sqlarray_release(&lists.claims);
	sqlarray_release(&lists.ids);
}

static bool
may_check(const struct queue *q)
{
	return link_is_ready(q->node) && q->state->phase <= PHASE_DRAINING && !q->revoked.checking;
}

void
revoked_run(struct queue *q)
{
	const struct agenda *a = &q->state->agenda;

	if (may_check(q) && (a->check || (a->check_at != 0 && a->check_at <= clock_ms())))
		check(q);
}

int64_t
revoked_deadline(const struct queue *q)
{
	return may_check(q) ? q->state->agenda.check_at : 0;
}
