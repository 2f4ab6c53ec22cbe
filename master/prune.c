/*
 * Owns the statement that deletes what is old.
 */
#include "master/prune.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "master/queue.h"

#define FIRST_MS 2000
#define EVERY_MS 60000
#define SHARE 10 /* it takes at most this part of a server process's time */
#define BATCH_MIN 1000
#define BATCH_MAX 4000 /* some 10 ms, which claims and settlements on the same connection wait */

/*
 * $1 milliseconds, $2 how many, $3 from when on.  The oldest first, by the index alone, from where the last batch ended: what it
 * has deleted is not walked over again.
 *
 * The time that it says is its own: not that in which it waited for the statements before it.
 */
static const struct db_stmt stmt_prune = {
	.name = "prune_limits",
	.nparams = 3,
	.sql = "WITH gone AS (DELETE FROM ferry.task t WHERE t.state IN ('done', 'failed', 'cancelled') AND t.ctid = ANY (ARRAY("
	       "SELECT e.ctid FROM ferry.task e WHERE e.state IN ('done', 'failed', 'cancelled') "
	       "AND e.finished_at >= $3::timestamptz AND e.finished_at < now() - $1::bigint * interval '1 millisecond' "
	       "AND NOT EXISTS (SELECT FROM ferry.upload u WHERE u.task = e.id) ORDER BY e.finished_at LIMIT $2::integer)) "
	       "RETURNING t.finished_at) SELECT count(*), max(finished_at), "
	       "ceil(extract(epoch FROM clock_timestamp() - statement_timestamp()) * 1000)::bigint FROM gone",
};

static void
pruned(void *arg, enum db_status status, PGresult *res)
{
	struct master *m = arg;
	struct prune *p = &m->prune;
	int64_t now = clock_ms();
	int n;

	p->asking = false;
	p->at = now + EVERY_MS;
	if (status == DB_ERROR)
		queue_log_error(m, "deleting old tasks", res);
	if (status != DB_OK)
		return;
	n = (int)strtol(PQgetvalue(res, 0, 0), NULL, 10);
	p->deleted += n;
	if (n == p->batch) { /* there will be more */
		p->at = now + SHARE * strtoll(PQgetvalue(res, 0, 2), NULL, 10);
		p->batch = n * 2 < BATCH_MAX ? n * 2 : BATCH_MAX;
		strlcpy(p->from, PQgetvalue(res, 0, 1), sizeof(p->from));
		return;
	}
	if (p->deleted > 0)
		log_info("%" PRId64 " tasks deleted that ended longer ago than retention says", p->deleted);
	p->deleted = p->batch = 0;
	p->from[0] = '\0';
}

int64_t
prune_deadline(const struct master *m)
{
	if (m->conf->retention_ms == 0 || m->queue.link != LINK_READY || m->phase != PHASE_RUNNING || m->prune.asking)
		return 0;
	return m->prune.at;
}

void
prune_run(struct master *m)
{
	int64_t now = clock_ms(), at = prune_deadline(m);
	char age[24], count[16];
	const char *params[] = { age, count, m->prune.from[0] != '\0' ? m->prune.from : "-infinity" };

	if (m->prune.at == 0)
		m->prune.at = now + FIRST_MS;
	if (at == 0 || at > now)
		return;
	if (m->prune.batch == 0)
		m->prune.batch = BATCH_MIN;
	m->prune.asking = true;
	snprintf(age, sizeof(age), "%" PRId64, m->conf->retention_ms);
	snprintf(count, sizeof(count), "%d", m->prune.batch);
	db_submit(m->db, &stmt_prune, params, DB_ONCE, pruned, m);
}
