#include "master/exporter/page_questions.h"

const struct db_stmt question_page_nodes = {
	.name = "page_nodes",
	.nparams = 0,
	.sql = "SELECT coalesce(json_agg(x ORDER BY x.name), '[]') "
	       "FROM ("
	       "SELECT n.id::text AS id, n.name, n.version, n.queues, "
	       "jsonb_array_length(n.workers) AS workers, "
	       "now() > n.renewed_at + n.lease AS lapsed, "
	       "extract(epoch FROM n.started_at)::bigint AS started, "
	       "extract(epoch FROM n.renewed_at)::bigint AS seen "
	       "FROM ferry.node n) x",
};

/* Numbers that follow one another differ from their places by the same. */
#define PARTS                                                                          \
	"SELECT json_agg(json_build_array(i.first, i.last) ORDER BY i.first) "         \
	"FROM ("                                                                       \
	"SELECT min(g.number) AS first, max(g.number) AS last "                        \
	"FROM ("                                                                       \
	"SELECT p.number, p.number - row_number() OVER (ORDER BY p.number) AS island " \
	"FROM ferry.part p "                                                           \
	"WHERE p.task = u.task "                                                       \
	"AND p.upload_id = u.upload_id) g "                                            \
	"GROUP BY g.island) i"

const struct db_stmt question_page_workers = {
	.name = "page_workers",
	.nparams = 0,
	.sql = "SELECT coalesce(json_agg(x ORDER BY x.node_name, x.slot), '[]') "
	       "FROM ("
	       "SELECT w.node_id::text AS node, w.node AS node_name, w.slot, w.state, w.lapsed, "
	       "t.id::text AS task, t.queue, t.bytes_done AS done, t.bytes_total AS total, "
	       "t.attempt, t.crashes, t.ooms, "
	       "ferry.redacted(t.source) AS source, "
	       "ferry.redacted(t.destination) AS destination, "
	       "extract(epoch FROM t.started_at)::bigint AS started, "
	       "u.part_size, (" PARTS ") AS parts "
	       "FROM ferry.workers w "
	       "LEFT JOIN ferry.task t ON t.id = w.task "
	       "AND t.state = 'running' AND (t.state = 'running') IS TRUE "
	       "LEFT JOIN ferry.upload u ON u.task = t.id "
	       "AND u.first_claim = t.first_claim "
	       "AND NOT u.abandoned AND NOT u.spoiled) x",
};

const struct db_stmt question_page_queues = {
	.name = "page_queues",
	.nparams = 0,
	.sql = "SELECT coalesce(json_agg(x ORDER BY x.queue), '[]') "
	       "FROM ("
	       "SELECT coalesce(q.name, l.queue) AS queue, coalesce(q.enabled, true) AS open, "
	       "coalesce(l.running, 0) AS running, coalesce(l.waiting, 0) AS waiting, "
	       "coalesce(l.due, 0) AS due, extract(epoch FROM l.since)::bigint AS since, "
	       "q.max_transfers, q.rate, q.weight, "
	       "(SELECT p.waiting_for "
	       "FROM ferry.progress p "
	       "WHERE p.id = l.oldest) AS waits_for "
	       "FROM ferry.queue q "
	       "FULL "
	       "JOIN ("
	       "SELECT t.queue, "
	       "count(*) FILTER (WHERE t.state = 'running') AS running, "
	       "count(*) FILTER (WHERE t.state = 'queued') AS waiting, "
	       "count(*) FILTER (WHERE t.state = 'queued' AND t.run_at <= now()) AS due, "
	       "min(greatest(t.run_at, t.created_at)) "
	       "FILTER (WHERE t.state = 'queued' AND t.run_at <= now()) AS since, "
	       "min(t.id) FILTER (WHERE t.state = 'queued') AS oldest "
	       "FROM ferry.task t "
	       "WHERE t.state IN ('queued', 'running') "
	       "GROUP BY t.queue) l ON l.queue = q.name "
	       "ORDER BY coalesce(l.waiting, 0) + coalesce(l.running, 0) DESC "
	       "LIMIT 200) x",
};

const struct db_stmt question_page_stores = {
	.name = "page_stores",
	.nparams = 0,
	.sql = "SELECT coalesce(json_agg(x ORDER BY x.store), '[]') "
	       "FROM ("
	       "SELECT s.store, min(c.max_transfers) AS max_transfers, min(c.rate) AS rate, "
	       "count(c.store) AS nodes, "
	       "(SELECT count(*) "
	       "FROM ferry.task t "
	       "WHERE t.state = 'running' AND (t.state = 'running') IS TRUE "
	       "AND t.source_store = s.store) AS reading, "
	       "(SELECT count(*) "
	       "FROM ferry.task t "
	       "WHERE t.state = 'running' AND (t.state = 'running') IS TRUE "
	       "AND t.destination_store = s.store) AS writing, "
	       "(SELECT json_agg(json_build_object('node', h.node, "
	       "'held_as', h.held_as, 'state', h.state, 'class', h.error_class, "
	       "'reason', h.reason, 'waiting', h.waiting, "
	       "'since', extract(epoch FROM h.since)::bigint) "
	       "ORDER BY h.since) "
	       "FROM ferry.store h "
	       "WHERE h.store = s.store "
	       "AND h.state <> 'ok') AS held "
	       "FROM ("
	       "SELECT n.store "
	       "FROM ferry.node_store n "
	       "UNION "
	       "SELECT h.store "
	       "FROM ferry.hold h) s "
	       "LEFT JOIN ferry.node_store c ON c.store = s.store "
	       "GROUP BY s.store) x",
};

const struct db_stmt question_page_ends = {
	.name = "page_ends",
	.nparams = 0,
	.sql = "SELECT json_build_object("
	       "'done', count(*) FILTER (WHERE e.state = 'done'), "
	       "'failed', count(*) FILTER (WHERE e.state = 'failed'), "
	       "'bytes', coalesce(sum(e.bytes_done) FILTER (WHERE e.state = 'done'), 0)) "
	       "FROM ("
	       "SELECT t.state, t.bytes_done "
	       "FROM ferry.task_ended t "
	       "WHERE t.state IN ('done', 'failed', 'cancelled') "
	       "AND t.finished_at > now() - interval '1 minute' "
	       "ORDER BY t.finished_at DESC "
	       "LIMIT 100000) e",
};

/* Names and addresses, long ids, numbers of things, other numbers that are no status. */
#define ALIKE                                                                   \
	"regexp_replace(regexp_replace(regexp_replace(regexp_replace(f.error, " \
	"'[a-z][a-z0-9+.-]*://[^[:space:]]+', '...', 'gi'), "                   \
	"'\\m(?=[^[:space:]]*[0-9])[[:alnum:]_+/=-]{12,}', '...', 'g'), "       \
	"'\\m(parts?|tasks?|pid|worker|attempt|port) [0-9]+', '\\1 #', 'gi'), " \
	"'\\m(?![1-5][0-9][0-9]\\M)[0-9]+([.][0-9]+)?', '#', 'g')"

const struct db_stmt question_page_failures = {
	.name = "page_failures",
	.nparams = 0,
	.sql = "SELECT coalesce(json_agg(x ORDER BY x.failed DESC, x.trying DESC), '[]') "
	       "FROM ("
	       "SELECT m.alike, m.error_class AS class, "
	       "count(*) FILTER (WHERE m.state = 'failed') AS failed, "
	       "count(*) FILTER (WHERE m.state <> 'failed') AS trying, "
	       "extract(epoch FROM max(m.finished_at))::bigint AS last, "
	       "(array_agg(m.error ORDER BY m.finished_at DESC NULLS LAST))[1] AS example, "
	       "(array_agg(m.id::text ORDER BY m.finished_at DESC NULLS LAST))[1:20] AS tasks "
	       "FROM ("
	       "SELECT f.id, f.state, f.error, f.error_class, "
	       "f.finished_at, " ALIKE " AS alike "
	       "FROM ("
	       "SELECT e.* "
	       "FROM ("
	       "SELECT t.id, t.state, t.error, t.error_class, t.finished_at "
	       "FROM ferry.task_ended t "
	       "WHERE t.state IN ('done', 'failed', 'cancelled') "
	       "AND t.finished_at > now() - interval '24 hours' "
	       "ORDER BY t.finished_at DESC "
	       "LIMIT 200000) e "
	       "WHERE e.state = 'failed' "
	       "UNION ALL "
	       "(SELECT t.id, t.state, t.error, t.error_class, NULL "
	       "FROM ferry.task t "
	       "WHERE t.state IN ('queued', 'running') "
	       "AND t.error IS NOT NULL "
	       "LIMIT 20000)) f) m "
	       "GROUP BY m.alike, m.error_class "
	       "ORDER BY count(*) DESC "
	       "LIMIT 100) x",
};

/* From a partition, which has the orders of its indexes: ferry.task has policies. */
#define TASKS                                                                        \
	"SELECT t.id, t.state, t.queue, t.source, t.destination, t.bytes_done, "     \
	"t.bytes_total, t.attempt + t.crashes + t.ooms AS failures, t.error_class, " \
	"t.created_at, t.started_at, t.finished_at, t.priority, t.run_at "

const struct db_stmt question_page_tasks = {
	.name = "page_tasks",
	.nparams = 0,
	.sql = "SELECT DISTINCT ON (r.id) r.id, "
	       "json_build_array(r.id::text, r.state, r.queue, ferry.redacted(r.source), "
	       "ferry.redacted(r.destination), r.bytes_done, r.bytes_total, r.failures, "
	       "r.error_class, extract(epoch FROM r.created_at)::bigint, "
	       "extract(epoch FROM r.started_at)::bigint, "
	       "extract(epoch FROM r.finished_at)::bigint, r.priority, "
	       "extract(epoch FROM r.run_at)::bigint)::text "
	       "FROM ((" TASKS "FROM ferry.task_live t "
	       "WHERE t.state = 'running' AND (t.state = 'running') IS TRUE "
	       "LIMIT 2000) "
	       "UNION ALL (" TASKS "FROM ferry.task_live t "
	       "WHERE t.state = 'queued' AND (t.state = 'queued' AND NOT t.behind) IS TRUE "
	       "ORDER BY ~t.priority, t.run_at, t.id "
	       "LIMIT 10000) "
	       "UNION ALL (" TASKS "FROM ferry.task_live t "
	       "WHERE t.state = 'queued' AND (t.state = 'queued' AND t.behind) IS TRUE "
	       "LIMIT 1000) "
	       "UNION ALL (" TASKS "FROM ferry.task_ended t "
	       "WHERE t.state IN ('done', 'failed', 'cancelled') "
	       "AND t.finished_at IS NOT NULL "
	       "ORDER BY t.finished_at DESC "
	       "LIMIT 4000)) r "
	       "ORDER BY r.id, r.state",
};

const struct db_stmt question_page_task = {
	.name = "page_task",
	.nparams = 1,
	.sql = "SELECT json_build_object("
	       "'id', t.id::text, 'state', t.state, 'queue', t.queue, 'priority', t.priority, "
	       "'source', ferry.redacted(t.source), "
	       "'destination', ferry.redacted(t.destination), "
	       "'created', extract(epoch FROM t.created_at)::bigint, "
	       "'run_at', extract(epoch FROM t.run_at)::bigint, "
	       "'started', extract(epoch FROM t.started_at)::bigint, "
	       "'finished', extract(epoch FROM t.finished_at)::bigint, "
	       "'attempt', t.attempt, 'max_attempts', t.max_attempts, "
	       "'crashes', t.crashes, 'ooms', t.ooms, "
	       "'node', n.name, 'worker', t.worker, 'waiting_for', p.waiting_for, "
	       "'done', t.bytes_done, 'total', t.bytes_total, 'gained', t.bytes_gained, "
	       "'error', t.error, 'error_class', t.error_class, 'warning', t.warning, "
	       "'verified_by', t.verified_by, 'crc64', t.crc64::text, 'etag', t.etag, "
	       "'peak_memory', t.peak_memory, 'if_exists', t.if_exists, "
	       "'storage_class', t.storage_class, 'uploads', ("
	       "SELECT coalesce(json_agg(json_build_object("
	       "'kind', CASE WHEN u.spoiled THEN 'a spoiled object' "
	       "WHEN u.abandoned THEN 'abandoned' "
	       "WHEN u.completing THEN 'completing' ELSE 'open' END, "
	       "'created', extract(epoch FROM u.created_at)::bigint, "
	       "'size', u.source_size, 'part_size', u.part_size, "
	       "'parts', (" PARTS ")) ORDER BY u.created_at), '[]') "
	       "FROM ferry.upload u "
	       "WHERE u.task = t.id "
	       "AND u.first_claim = t.first_claim)) "
	       "FROM ferry.task t "
	       "LEFT JOIN ferry.node n ON n.id = t.node "
	       "LEFT JOIN ferry.progress p ON p.id = t.id AND t.state = 'queued' "
	       "WHERE t.id = $1::bigint "
	       "ORDER BY t.state "
	       "LIMIT 1",
};
