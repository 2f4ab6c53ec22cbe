#include "master/upkeep/blocker.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"

#define LOOK_EVERY_MS 5000 /* at most */
#define REFUSED_MS 600000 /* from a refusal to the next look */

/*
 * A transaction that waits for a lock is not the culprit, but the one that holds the lock, be it
 * idle and without a snapshot of its own.
 *
 * Only members of pg_read_all_stats see when other users' transactions began.  Everybody sees their
 * snapshots, so we count from when we first saw one.  The snapshot of a vacuum holds up nothing.
 */
static const struct db_stmt stmt_oldest = {
	.name = "oldest",
	.nparams = 0,
	.sql = "SELECT h.what, h.id, h.held, h.ms, h.transactions, "
	       "coalesce(pg_stat_get_dead_tuples('ferry.task_live'::regclass), 0) "
	       "FROM ("
	       "SELECT format('the transaction of pid %s (%s, user %s)', a.pid, "
	       "coalesce(nullif(a.application_name, ''), 'no name'), a.usename) AS what, "
	       "a.pid::text AS id, "
	       "coalesce(a.backend_xmin, a.backend_xid)::text AS held, "
	       "(extract(epoch FROM clock_timestamp() - a.xact_start) * 1000)::bigint AS ms, "
	       "greatest(age(a.backend_xmin), age(a.backend_xid)) AS transactions "
	       "FROM pg_stat_activity a "
	       "WHERE a.pid <> pg_backend_pid() "
	       "AND (a.datname = current_database() OR a.datid IS NULL) "
	       "AND a.backend_type IS DISTINCT FROM 'autovacuum worker' "
	       "AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND NOT l.granted) "
	       "AND NOT EXISTS (SELECT FROM pg_stat_progress_vacuum v WHERE v.pid = a.pid) "
	       "UNION ALL "
	       "SELECT format('the transaction of pid %s (%s, user %s) %s', "
	       "b.pid, coalesce(nullif(b.application_name, ''), 'no name'), b.usename, "
	       "'holds a lock that others wait for; it'), "
	       "b.pid::text, 'lock', "
	       "(extract(epoch FROM clock_timestamp() - b.xact_start) * 1000)::bigint, "
	       "age(w.backend_xmin) "
	       "FROM (SELECT DISTINCT l.pid FROM pg_locks l WHERE NOT l.granted) q "
	       "JOIN pg_stat_activity w ON w.pid = q.pid "
	       "CROSS JOIN LATERAL unnest(pg_blocking_pids(w.pid)) AS k(pid) "
	       "JOIN pg_stat_activity b ON b.pid = k.pid "
	       "WHERE w.datname = current_database() "
	       "AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.pid = b.pid AND NOT l.granted) "
	       "UNION ALL "
	       "SELECT format('the prepared transaction %L (user %s)', p.gid, p.owner), "
	       "p.gid, p.transaction::text, "
	       "(extract(epoch FROM clock_timestamp() - p.prepared) * 1000)::bigint, "
	       "age(p.transaction) "
	       "FROM pg_prepared_xacts p "
	       "UNION ALL "
	       "SELECT format('the replication slot %s', s.slot_name), "
	       "s.slot_name, s.xmin::text, NULL, age(s.xmin) "
	       "FROM pg_replication_slots s "
	       "WHERE s.xmin IS NOT NULL) h "
	       "WHERE h.transactions IS NOT NULL "
	       "ORDER BY h.transactions DESC "
	       "LIMIT 1",
};
enum { WHAT, ID, HELD, MS, TRANSACTIONS, DEAD };

static void
warn(struct blocker *b, const PGresult *res, int64_t ms)
{
	log_warn(
	    "%s is open for %" PRId64
	    " s: until it ends no vacuum removes dead rows; ferry.task_live has %s of them now, "
	    "%s transactions have begun since; claims get slower",
	    PQgetvalue(res, 0, WHAT), ms / 1000, PQgetvalue(res, 0, DEAD),
	    PQgetvalue(res, 0, TRANSACTIONS));
	b->told = true;
}

static void
looked(void *arg, enum db_status status, PGresult *res)
{
	struct upkeep *u = arg;
	struct blocker *b = &u->blocker;
	char key[sizeof(b->key)];
	int64_t ms;

	b->asking = false;
	refusals_note(&u->node->refusals, WORK_BLOCKER, status, res);
	if (status == DB_ERROR)
		b->look_at = clock_ms() + REFUSED_MS;
	if (status != DB_OK)
		return;
	if (PQntuples(res) == 0) {
		b->key[0] = '\0';
		return;
	}
	snprintf(key, sizeof(key), "%s %s", PQgetvalue(res, 0, ID), PQgetvalue(res, 0, HELD));
	if (strcmp(key, b->key) != 0) {
		strlcpy(b->key, key, sizeof(b->key));
		b->since = clock_ms();
		b->told = false;
	}
	/* NULL reads as "" and so as 0 */
	ms = strtoll(PQgetvalue(res, 0, MS), NULL, 10);
	if (ms < clock_ms() - b->since)
		ms = clock_ms() - b->since;
	if (ms >= u->state->conf->transaction_warning_ms && !b->told)
		warn(b, res, ms);
}

/* Short enough that a transaction is seen twice before it has to be logged. */
static int64_t
interval(const struct upkeep *u)
{
	return u->state->conf->transaction_warning_ms < LOOK_EVERY_MS
		   ? u->state->conf->transaction_warning_ms
		   : LOOK_EVERY_MS;
}

int64_t
blocker_deadline(const struct upkeep *u)
{
	if (!link_is_ready(u->node) || u->state->phase > PHASE_DRAINING || u->blocker.asking)
		return 0;
	return u->blocker.look_at;
}

void
blocker_run(struct upkeep *u)
{
	int64_t now = clock_ms(), at = blocker_deadline(u);

	if (u->blocker.look_at == 0)
		u->blocker.look_at = now + interval(u);
	if (at == 0 || at > now)
		return;
	u->blocker.look_at = now + interval(u);
	u->blocker.asking = true;
	db_submit(u->node->db, &stmt_oldest, NULL, DB_ONCE, looked, u);
}
