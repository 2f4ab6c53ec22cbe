/*
 * Owns what is known of the oldest transaction.
 */
#include "master/oldest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"

#define LOOK_EVERY_MS 5000 /* at least */

/*
 * Since when others' transactions are open only a member of pg_read_all_stats is told; everybody is told which snapshot they hold,
 * so at least we know since when we have seen it.  A vacuum's own snapshot holds up nothing.
 */
static const struct db_stmt stmt_oldest = {
	.name = "oldest_limits",
	.nparams = 0,
	.sql = "SELECT h.what, h.id, h.held, h.ms, h.transactions, "
	       "coalesce(pg_stat_get_dead_tuples('ferry.task_live'::regclass), 0) FROM ("
	       "SELECT format('the transaction of pid %s (%s, user %s)', a.pid, coalesce(nullif(a.application_name, ''), 'no name'), "
	       "a.usename) AS what, a.pid::text AS id, coalesce(a.backend_xmin, a.backend_xid)::text AS held, "
	       "(extract(epoch FROM clock_timestamp() - a.xact_start) * 1000)::bigint AS ms, "
	       "greatest(age(a.backend_xmin), age(a.backend_xid)) AS transactions FROM pg_stat_activity a "
	       "WHERE a.pid <> pg_backend_pid() AND (a.datname = current_database() OR a.datid IS NULL) "
	       "AND a.backend_type IS DISTINCT FROM 'autovacuum worker' "
	       "AND NOT EXISTS (SELECT FROM pg_stat_progress_vacuum v WHERE v.pid = a.pid) "
	       "UNION ALL SELECT format('the prepared transaction %L (user %s)', p.gid, p.owner), p.gid, p.transaction::text, "
	       "(extract(epoch FROM clock_timestamp() - p.prepared) * 1000)::bigint, age(p.transaction) FROM pg_prepared_xacts p "
	       "UNION ALL SELECT format('the replication slot %s', s.slot_name), s.slot_name, s.xmin::text, NULL, age(s.xmin) "
	       "FROM pg_replication_slots s WHERE s.xmin IS NOT NULL) h "
	       "WHERE h.transactions IS NOT NULL ORDER BY h.transactions DESC LIMIT 1",
};

static void
warn(struct oldest *o, const PGresult *res, int64_t ms)
{
	log_warn("%s is open for %" PRId64 " s: until it ends no vacuum removes what dies; %s dead rows of ferry.task_live now, "
	    "%s transactions since; claims get slower",
	    PQgetvalue(res, 0, 0), ms / 1000, PQgetvalue(res, 0, 5), PQgetvalue(res, 0, 4));
	o->told = true;
}

static void
looked(void *arg, enum db_status status, PGresult *res)
{
	struct master *m = arg;
	struct oldest *o = &m->oldest;
	char key[sizeof(o->key)];
	int64_t ms;

	o->asking = false;
	if (status == DB_ERROR && !o->refused) {
		log_info("the oldest transaction cannot be asked for: %s", db_error_message(res, key, sizeof(key)));
		o->refused = true;
	}
	if (status != DB_OK)
		return;
	if (PQntuples(res) == 0) {
		o->key[0] = '\0';
		return;
	}
	snprintf(key, sizeof(key), "%s %s", PQgetvalue(res, 0, 1), PQgetvalue(res, 0, 2));
	if (strcmp(key, o->key) != 0) {
		strlcpy(o->key, key, sizeof(o->key));
		o->since = clock_ms();
		o->told = false;
	}
	/* NULL reads as "" and so as 0 */
	ms = strtoll(PQgetvalue(res, 0, 3), NULL, 10);
	if (ms < clock_ms() - o->since)
		ms = clock_ms() - o->since;
	if (ms >= m->conf->transaction_warning_ms && !o->told)
		warn(o, res, ms);
}

/* Often enough that what is to be named is seen twice in time. */
static int64_t
interval(const struct master *m)
{
	return m->conf->transaction_warning_ms < LOOK_EVERY_MS ? m->conf->transaction_warning_ms : LOOK_EVERY_MS;
}

int64_t
oldest_deadline(const struct master *m)
{
	if (m->queue.link != LINK_READY || m->phase > PHASE_DRAINING || m->oldest.asking || m->oldest.refused)
		return 0;
	return m->oldest.look_at;
}

void
oldest_run(struct master *m)
{
	int64_t now = clock_ms(), at = oldest_deadline(m);

	if (m->oldest.look_at == 0)
		m->oldest.look_at = now + interval(m);
	if (at == 0 || at > now)
		return;
	m->oldest.look_at = now + interval(m);
	m->oldest.asking = true;
	db_submit(m->db, &stmt_oldest, NULL, DB_ONCE, looked, m);
}
