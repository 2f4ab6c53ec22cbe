/*
 * Owns the look at whether what we have is still ours.
 */
#include "master/stale.h"

#include <stdlib.h>

#include "common/clock.h"
#include "master/claim.h"
#include "master/dispatch.h"
#include "master/pool.h"
#include "master/prefetch.h"
#include "master/sqlarray.h"
#include "master/stock.h"

/*
 * Which of our claims are stale.  A task that was claimed ahead has no worker in its row until it has lasted to this; what is just
 * being settled, over the second connection, is not waited for.
 */
static const struct db_stmt stmt_lost = {
	.name = "lost_claims",
	.nparams = 3,
	.sql = "WITH h AS MATERIALIZED (SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::integer[]) AS h(id, claim, worker)), "
	       "unseated AS MATERIALIZED (SELECT t.id, h.worker FROM h JOIN ferry.task t ON t.id = h.id WHERE t.claim = h.claim "
	       "AND t.state = 'running' AND h.worker > 0 AND t.worker IS DISTINCT FROM h.worker FOR UPDATE OF t SKIP LOCKED), "
	       "seated AS (UPDATE ferry.task t SET worker = u.worker FROM unseated u WHERE t.id = u.id AND t.state = 'running') "
	       "SELECT h.id, h.claim FROM h WHERE NOT EXISTS ("
	       "SELECT FROM ferry.task t WHERE t.id = h.id AND t.claim = h.claim AND t.state = 'running')",
};

static void
checked(void *arg, enum db_status status, PGresult *res)
{
	struct master *m = arg;
	struct slot *slot;
	int64_t id, number;
	int i;

	m->queue.checking = false;
	if (status != DB_OK)
		return;
	for (i = 0; i < PQntuples(res); i++) {
		id = strtoll(PQgetvalue(res, i, 0), NULL, 10);
		number = strtoll(PQgetvalue(res, i, 1), NULL, 10);
		POOL_FOREACH (slot, m)
			if (slot->task != NULL && slot->task->id == id && slot->task->claim == number)
				dispatch_cancel(slot);
			else
				prefetch_cancel(slot, id, number);
		stock_drop(m, id, number);
	}
}

static void
check(struct master *m)
{
	struct sqlarray ids, claims, workers;
	const struct slot *slot;
	const char *params[3];

	m->queue.check_again = false;
	sqlarray_init(&ids);
	sqlarray_init(&claims);
	sqlarray_init(&workers);
	POOL_FOREACH (slot, m)
		if (slot->task != NULL && !slot->cancelled) {
			sqlarray_add_int(&ids, slot->task->id);
			sqlarray_add_int(&claims, slot->task->claim);
			sqlarray_add_int(&workers, slot->number);
		}
	prefetch_list(m, &ids, &claims, &workers);
	stock_list(m, &ids, &claims, &workers);
	m->queue.check_at = ids.n > 0 ? clock_ms() + CLAIM_CHECK_MS : 0;
	params[0] = sqlarray_finish(&ids);
	params[1] = sqlarray_finish(&claims);
	params[2] = sqlarray_finish(&workers);
	if (ids.n > 0) {
		m->queue.checking = true;
		db_submit(m->db, &stmt_lost, params, DB_ONCE, checked, m);
	}
	sqlarray_release(&workers);
	sqlarray_release(&claims);
	sqlarray_release(&ids);
}

void
stale_run(struct master *m)
{
	const struct queue *q = &m->queue;

	if (!q->checking && (q->check_again || (q->check_at != 0 && q->check_at <= clock_ms())))
		check(m);
}

int64_t
stale_deadline(const struct master *m)
{
	return m->queue.checking ? 0 : m->queue.check_at;
}
