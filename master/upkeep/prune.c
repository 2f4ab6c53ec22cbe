#include "master/upkeep/prune.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/db/params.h"

#define FIRST_MS 2000
#define EVERY_MS 60000
#define SHARE 10 /* deleting takes at most this part of a server process's time */
#define BATCH_MIN 1000
#define BATCH_MAX 4000 /* takes some 10 ms; statements on the same connection wait meanwhile */

/*
 * $1 milliseconds, $2 how many rows, $3 from when on.  Deletes the oldest rows first, by the index
 * alone.  A batch begins where the last one ended, so that it does not walk over dead entries.
 *
 * The time in the answer is that of the statement alone.  The wait for earlier statements is not
 * part of it.
 *
 * life of a row: done, failed or cancelled -> deleted
 */
static const struct db_stmt stmt_prune = {
	.name = "prune",
	.nparams = 3,
	.sql = "WITH gone AS ("
	       "DELETE FROM ferry.task t "
	       "WHERE t.state IN ('done', 'failed', 'cancelled') AND t.ctid = ANY (ARRAY("
	       "SELECT e.ctid FROM ferry.task e "
	       "WHERE e.state IN ('done', 'failed', 'cancelled') "
	       "AND e.finished_at >= $3::timestamptz "
	       "AND e.finished_at < now() - $1::bigint * interval '1 millisecond' "
	       "AND NOT EXISTS (SELECT FROM ferry.upload u "
	       "WHERE u.task = e.id AND u.first_claim = e.first_claim) "
	       "ORDER BY e.finished_at "
	       "LIMIT $2::integer)) "
	       "RETURNING t.finished_at) "
	       "SELECT count(*), max(finished_at), "
	       "ceil(extract(epoch FROM clock_timestamp() - statement_timestamp()) * 1000)::bigint "
	       "FROM gone",
};
enum { COUNT, LAST, TOOK_MS };

static void
pruned(void *arg, enum db_status status, PGresult *res)
{
	struct upkeep *u = arg;
	struct prune *p = &u->prune;
	int64_t now = clock_ms();
	int n;

	p->asking = false;
	p->at = now + EVERY_MS;
	if (status == DB_ERROR)
		refusals_add(&u->node->refusals, WORK_PRUNE, res);
	if (status != DB_OK)
		return;
	refusals_relieve(&u->node->refusals, WORK_PRUNE);
	n = (int)strtol(PQgetvalue(res, 0, COUNT), NULL, 10);
	p->deleted += n;
	if (n == p->batch) { /* there will be more */
		p->at = now + SHARE * strtoll(PQgetvalue(res, 0, TOOK_MS), NULL, 10);
		p->batch = n * 2 < BATCH_MAX ? n * 2 : BATCH_MAX;
		strlcpy(p->from, PQgetvalue(res, 0, LAST), sizeof(p->from));
		return;
	}
	if (p->deleted > 0)
		log_info("%" PRId64 " tasks deleted, which ended longer ago than retention allows",
		    p->deleted);
	p->deleted = p->batch = 0;
	p->from[0] = '\0';
}

int64_t
prune_deadline(const struct upkeep *u)
{
	if (u->state->conf->retention_ms == 0 || !link_is_ready(u->node) ||
	    u->state->phase != PHASE_RUNNING || u->prune.asking)
		return 0;
	return u->prune.at;
}

static void
submit(struct upkeep *u)
{
	struct prune *prune = &u->prune;
	struct params p = { .n = 0 };

	if (prune->batch == 0)
		prune->batch = BATCH_MIN;
	prune->asking = true;
	params_int(&p, u->state->conf->retention_ms);
	params_int(&p, prune->batch);
	params_text(&p, prune->from[0] != '\0' ? prune->from : "-infinity");
	db_submit(u->node->db, &stmt_prune, p.values, DB_ONCE, pruned, u);
}

void
prune_run(struct upkeep *u)
{
	int64_t now = clock_ms(), at = prune_deadline(u);

	if (u->prune.at == 0)
		u->prune.at = now + FIRST_MS;
	if (at != 0 && at <= now)
		submit(u);
}
