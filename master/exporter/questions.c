#include "master/exporter/questions.h"

/*
 * Whether this exporter speaks for the whole queue.  The number was drawn at random, so that no
 * other program of the database uses it.  Every role can take such a lock, so one that is held by a
 * role without ferry_daemon counts for nothing.
 */
#define SPEAKER "7310595160413106035"
const struct db_stmt question_lock = {
	.name = "lock",
	.nparams = 0,
	.sql = "SELECT pg_try_advisory_lock(" SPEAKER "), "
	       "NOT EXISTS ("
	       "SELECT FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid "
	       "WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 "
	       "AND l.database = ("
	       "SELECT d.oid FROM pg_database d "
	       "WHERE d.datname = current_database()) "
	       "AND l.classid = (" SPEAKER " >> 32)::oid "
	       "AND l.objid = (" SPEAKER " & 4294967295)::oid "
	       "AND pg_has_role(a.usesysid, 'ferry_daemon', 'MEMBER'))",
};

const struct db_stmt question_live = {
	.name = "live",
	.nparams = 0,
	.sql = "SELECT l.queue, l.queued, l.running, extract(epoch FROM now() - l.since) "
	       "FROM ("
	       "SELECT t.queue, "
	       "count(*) FILTER (WHERE t.state = 'queued') AS queued, "
	       "count(*) FILTER (WHERE t.state = 'running') AS running, "
	       "min(greatest(t.run_at, t.created_at)) "
	       "FILTER (WHERE t.state = 'queued' AND t.run_at <= now()) AS since "
	       "FROM ferry.task t "
	       "WHERE t.state IN ('queued', 'running') "
	       "GROUP BY t.queue) l "
	       "ORDER BY l.queued + l.running DESC",
};

#define BOUNDS "'{0.1,0.5,1,5,10,30,60,300,1800,3600,14400,86400,604800}'::double precision[]"

const struct db_stmt question_ended = {
	.name = "ended",
	.nparams = 1,
	.sql = "SELECT b.until, e.queue, e.state, e.wait_bucket, e.duration_bucket, "
	       "e.tasks, e.wait_sum, e.duration_sum "
	       "FROM ("
	       "SELECT greatest(now() - interval '60 s', least(now(), ("
	       "SELECT min(a.xact_start) "
	       "FROM pg_stat_activity a "
	       "WHERE a.datname = current_database() "
	       "AND a.pid <> pg_backend_pid()))) AS until) b "
	       "LEFT JOIN LATERAL ("
	       "SELECT s.queue, s.state, count(*) AS tasks, "
	       "width_bucket(s.wait, " BOUNDS ") AS wait_bucket, "
	       "width_bucket(s.duration, " BOUNDS ") AS duration_bucket, "
	       "sum(s.wait) AS wait_sum, "
	       "sum(s.duration) AS duration_sum "
	       "FROM ("
	       "SELECT t.queue, t.state, "
	       "extract(epoch FROM t.started_at)::double precision "
	       "- extract(epoch FROM greatest(t.created_at, d.due))::double precision AS wait, "
	       "extract(epoch FROM t.finished_at - t.started_at)::double precision AS duration "
	       "FROM ferry.task t "
	       "CROSS JOIN LATERAL ("
	       "SELECT CASE WHEN t.run_at <= t.started_at THEN t.run_at END AS due) d "
	       "WHERE t.state IN ('done', 'failed', 'cancelled') "
	       "AND t.finished_at >= $1::timestamptz "
	       "AND t.finished_at < b.until) s "
	       "GROUP BY s.queue, s.state, wait_bucket, duration_bucket) e ON true",
};

const struct db_stmt question_database = {
	.name = "database",
	.nparams = 0,
	.sql = "SELECT "
	       "(SELECT count(*) "
	       "FROM pg_stat_activity a "
	       "WHERE a.datname = current_database()), "
	       "(SELECT coalesce(sum(s.n_dead_tup), 0) "
	       "FROM pg_stat_all_tables s "
	       "WHERE s.schemaname = 'ferry'), "
	       "(SELECT coalesce(extract(epoch FROM now() - min(o.since)), 0) "
	       "FROM ("
	       "SELECT a.xact_start AS since "
	       "FROM pg_stat_activity a "
	       "WHERE a.datname = current_database() "
	       "AND a.pid <> pg_backend_pid() "
	       "UNION ALL "
	       "SELECT p.prepared "
	       "FROM pg_prepared_xacts p "
	       "WHERE p.database = current_database()) o), "
	       "(SELECT count(*) "
	       "FROM ferry.abandoned)",
};
