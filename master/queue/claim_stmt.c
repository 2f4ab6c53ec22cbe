#include "master/queue/claim_stmt.h"

#include "master/node/planner.h"

#define NUMBERS                                                                            \
	"t.behind, t.worker, t.id, t.claim, t.first_claim, t.attempt, t.crashes, t.ooms, " \
	"t.max_attempts, ~t.priority, t.run_at, t.expect_size, t.expect_crc64"

#define ALL                                                                                 \
	NUMBERS ", t.if_exists, t.source, t.destination, t.content_type, t.storage_class, " \
		"CASE WHEN t.metadata IS NOT NULL THEN ("                                   \
		"SELECT string_agg(key || E'\\x1f' || value || E'\\x1e', '' ORDER BY key) " \
		"FROM jsonb_each_text(t.metadata)) END, "                                   \
		"t.queue"

/*
 * Claimed rows leave dead entries at the head of the index until a vacuum removes them.  A vacuum
 * cannot do so while some transaction is older than they are.  A claim that begins where the last
 * one ended does not walk over them.  Tasks that have come in front of that place meanwhile (a
 * higher priority, a requeued task) are found by a claim from the start.  There is one as often as
 * START_OVER_SHARE of the time allows: its cost stays bounded when the walk is long, and it comes
 * at once when the walk is short.
 *
 * The priorities are visited one by one, each by a range of the index, so that the claim does not
 * walk over tasks of a higher priority that are not due yet.  MATERIALIZED is needed: without it a
 * nested loop could lock, and update, more rows than the limit.
 *
 * life of a row: queued -> running
 */
#define IN_ORDER(columns)                                                                       \
	"WITH RECURSIVE level(rank, run_at, id) AS ("                                           \
	"SELECT $6::integer, $7::timestamptz, $8::bigint "                                      \
	"UNION ALL "                                                                            \
	"SELECT n.rank, '-infinity'::timestamptz, 0::bigint "                                   \
	"FROM level l CROSS JOIN LATERAL ("                                                     \
	"SELECT ~t.priority AS rank FROM ferry.task_live t "                                    \
	"WHERE " TASK_READY(                                                                    \
	    "t.") " AND ~t.priority > l.rank "                                                  \
		  "ORDER BY ~t.priority "                                                       \
		  "LIMIT 1) n), "                                                               \
		  "ready AS MATERIALIZED ("                                                     \
		  "SELECT f.at, f.forerunner "                                                  \
		  "FROM level l CROSS JOIN LATERAL ("                                           \
		  "SELECT t.ctid AS at, ("                                                      \
		  "SELECT w.task "                                                              \
		  "FROM ferry.forerunners("                                                     \
		  "ferry.object(t.destination_store, t.destination), t.id) AS w(task) "         \
		  "LIMIT 1) AS forerunner "                                                     \
		  "FROM ferry.task_live t "                                                     \
		  "WHERE " TASK_READY(                                                          \
		      "t.") " AND ~t.priority = l.rank "                                        \
			    "AND (t.run_at, t.id) > (l.run_at, l.id) AND t.run_at <= now() "    \
			    "AND t.queue = ANY (ARRAY(SELECT u FROM unnest($3::text[]) u "      \
			    "WHERE NOT EXISTS (SELECT FROM ferry.queue q WHERE q.name = u "     \
			    "AND NOT q.enabled))) "                                             \
			    "ORDER BY t.run_at, t.id "                                          \
			    "LIMIT $9::integer "                                                \
			    "FOR UPDATE SKIP LOCKED) f "                                        \
			    "LIMIT $9::integer), "                                              \
			    "numbered AS MATERIALIZED ("                                        \
			    "SELECT at, forerunner, CASE WHEN forerunner IS NULL THEN "         \
			    "count(*) FILTER (WHERE forerunner IS NULL) OVER (ROWS UNBOUNDED "  \
			    "PRECEDING) END AS place "                                          \
			    "FROM ready) "                                                      \
			    "UPDATE ferry.task t "                                              \
			    "SET state = CASE WHEN n.place IS NULL THEN 'queued'::ferry.state " \
			    "ELSE 'running'::ferry.state END, "                                 \
			    "behind = n.place IS NULL, "                                        \
			    "claim = coalesce($5::bigint + n.place, t.claim), "                 \
			    "first_claim = coalesce(t.first_claim, $5::bigint + n.place), "     \
			    "node = CASE WHEN n.place IS NOT NULL THEN $1::bigint END, "        \
			    "worker = ($2::integer[])[n.place], "                               \
			    "started_at = CASE WHEN n.place IS NULL THEN t.started_at "         \
			    "ELSE coalesce(t.started_at, now()) END, "                          \
			    "error = CASE WHEN n.forerunner = t.id "                            \
			    "THEN coalesce(ferry.id_is_taken(t.id), t.error) ELSE t.error END " \
			    "FROM numbered n "                                                  \
			    "WHERE t.ctid = n.at AND t.state = 'queued' "                       \
			    "AND (n.place <= $4::integer OR n.place IS NULL) "                  \
			    "RETURNING " columns

static const struct db_stmt stmt_claim = {
	.name = "claim",
	.nparams = 9,
	.sql = IN_ORDER(ALL),
};

static const struct db_stmt stmt_claim_numbers = {
	.name = "claim_numbers",
	.nparams = 9,
	.sql = IN_ORDER(NUMBERS),
};

const struct db_stmt *const claim_stmt_in_order[CLAIM_READINGS] = {
	[CLAIM_READS_ALL] = &stmt_claim,
	[CLAIM_READS_NUMBERS] = &stmt_claim_numbers,
};

/* life of a row: queued -> running, by ferry.claim() */
#define BY_LANES(columns)                                                                   \
	"SELECT " columns " "                                                               \
	"FROM ferry.claim($1::bigint, $2::integer[], $3::text[], $4::integer, $5::bigint, " \
	"$6::text[], $7::double precision[], $8::boolean, $9::boolean, $10::bigint[]) t"

static const struct db_stmt stmt_claim_limited = {
	.name = "claim_limited",
	.nparams = 10,
	.sql = BY_LANES(ALL),
};

static const struct db_stmt stmt_claim_limited_numbers = {
	.name = "claim_limited_numbers",
	.nparams = 10,
	.sql = BY_LANES(NUMBERS),
};

const struct db_stmt *const claim_stmt_by_lanes[CLAIM_READINGS] = {
	[CLAIM_READS_ALL] = &stmt_claim_limited,
	[CLAIM_READS_NUMBERS] = &stmt_claim_limited_numbers,
};

const struct db_stmt claim_stmt_read = {
	.name = "claim_read",
	.nparams = 2,
	.sql = "SELECT " ALL " "
	       "FROM ferry.task t "
	       "WHERE t.id = $1::bigint AND t.claim = $2::bigint AND t.state = 'running'",
};

/* life of a row: running -> failed */
const struct db_stmt claim_stmt_refuse = {
	.name = "claim_refuse",
	.nparams = 3,
	.sql = "UPDATE ferry.task "
	       "SET state = 'failed', error = $3, error_class = 'permanent', finished_at = now() "
	       "WHERE id = $1::bigint AND claim = $2::bigint AND state = 'running'",
};
