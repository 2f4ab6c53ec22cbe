/*
 * Owns the claim statement and its timing.
 */
#include "master/claim.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "master/abandoned.h"
#include "master/claim_row.h"
#include "master/dispatch.h"
#include "master/fair.h"
#include "master/limits.h"
#include "master/pool.h"
#include "master/prefetch.h"
#include "master/queue.h"
#include "master/quota.h"
#include "master/recover.h"
#include "master/results.h"
#include "master/sqlarray.h"
#include "master/stale.h"
#include "master/stock.h"

#define RETRY_MS 1000		/* after the database has refused a claim */

#define START_OVER_SHARE 10 /* claims from the start take at most this part of the time */
#define START_OVER_MS 200   /* between two of them at least, while claims from where the last one ended find enough */

#define IN_VAIN_MS 25 /* a claim in the order of all that takes so long and finds too little walks over others' tasks */
#define BY_LANES_MS 60000

#define CLAIMED \
	"t.worker, t.id, t.claim, t.attempt, t.crashes, t.ooms, t.max_attempts, t.if_exists, t.expect_size, " \
	"t.expect_crc64, t.source, t.destination, t.content_type, t.storage_class, " \
	"CASE WHEN t.metadata IS NOT NULL THEN (SELECT string_agg(key || E'\\x1f' || value || E'\\x1e', '' ORDER BY key) " \
	"FROM jsonb_each_text(t.metadata)) END, t.queue, " \
	"~t.priority, t.run_at"

/* For the partition, and for the indexes of what is queued: see schema-004.sql. */
#define QUEUED "t.state = 'queued' AND (t.state = 'queued') IS TRUE"

/*
 * $1 node, $2 slot numbers (rows beyond them are for no slot yet), $3 queues, $4 how many, $5 to $7 the place to begin behind.
 *
 * What has been claimed leaves dead entries at the head of the index until a vacuum takes them away, which it cannot while some
 * transaction is older than they are.  A claim that begins where the last one ended does not walk over them.  What has come in
 * front of that place meanwhile (a higher priority, a task that was given back) is found by one from the start: as often as
 * START_OVER_SHARE of the time allows, so that its cost stays bounded when the walk is long, and is paid at once when it is short.
 *
 * The priorities are visited one by one, each by a range of the index, so that tasks of a higher one that are not due yet are
 * not walked over either.  The fences matter: without MATERIALIZED a nested loop could lock, and update, more rows than the limit.
 */
static const struct db_stmt stmt_claim = {
	.name = "claim",
	.nparams = 7,
	.sql = "WITH RECURSIVE level(rank, run_at, id) AS (SELECT $5::integer, $6::timestamptz, $7::bigint UNION ALL "
	       "SELECT n.rank, '-infinity'::timestamptz, 0::bigint FROM level l CROSS JOIN LATERAL ("
	       "SELECT ~t.priority AS rank FROM ferry.task t WHERE " QUEUED " AND ~t.priority > l.rank "
	       "ORDER BY ~t.priority LIMIT 1) n), "
	       "ready AS MATERIALIZED (SELECT f.at FROM level l CROSS JOIN LATERAL ("
	       "SELECT t.ctid AS at FROM ferry.task t WHERE " QUEUED " AND ~t.priority = l.rank "
	       "AND (t.run_at, t.id) > (l.run_at, l.id) AND t.run_at <= now() "
	       "AND t.queue = ANY (ARRAY(SELECT u FROM unnest($3::text[]) u "
	       "WHERE NOT EXISTS (SELECT FROM ferry.queue q WHERE q.name = u AND NOT q.enabled))) "
	       "ORDER BY t.run_at, t.id LIMIT $4::integer FOR UPDATE SKIP LOCKED) f LIMIT $4::integer), "
	       "numbered AS MATERIALIZED (SELECT at, ($2::integer[])[row_number() OVER ()] AS slot FROM ready) "
	       "UPDATE ferry.task t SET state = 'running', claim = t.claim + 1, node = $1::bigint, worker = n.slot, "
	       "started_at = coalesce(t.started_at, now()) FROM numbered n WHERE t.ctid = n.at AND t.state = 'queued' "
	       "RETURNING " CLAIMED,
};

static const struct place start = { .rank = "-2147483648", .run_at = "-infinity", .id = "0" };

/*
 * Lane by lane (a queue, pair of stores and priority): where something is limited or queues have weights; where $5, stores that
 * have asked to slow down, are to be left alone; where it is the turn of what starves ($7); and where a queue that is paused, or
 * not ours, has so much in front of our tasks that a claim in the order of all walks over it for long.  $6 starts of the queues,
 * $8 whether to look from the start, $9 what this node has.
 */
static const struct db_stmt stmt_claim_limited = {
	.name = "claim_limited",
	.nparams = 9,
	.sql = "SELECT " CLAIMED " FROM ferry.claim($1::bigint, $2::integer[], $3::text[], $4::integer, $5::text[], "
	       "$6::double precision[], $7::boolean, $8::boolean, $9::bigint[]) t",
};

/* How long until the next task that is not due yet: the first of each priority, each found by the index alone. */
static const struct db_stmt stmt_next_due = {
	.name = "next_due",
	.nparams = 0,
	.sql = "WITH RECURSIVE level(rank) AS ("
	       "(SELECT ~t.priority FROM ferry.task t WHERE " QUEUED " ORDER BY ~t.priority LIMIT 1) UNION ALL "
	       "SELECT (SELECT ~t.priority FROM ferry.task t WHERE " QUEUED " AND ~t.priority > l.rank "
	       "ORDER BY ~t.priority LIMIT 1) FROM level l WHERE l.rank IS NOT NULL) "
	       "SELECT ceil(extract(epoch FROM min(d.run_at) - clock_timestamp()) * 1000)::bigint FROM level l "
	       "CROSS JOIN LATERAL (SELECT t.run_at FROM ferry.task t WHERE " QUEUED " AND ~t.priority = l.rank "
	       "AND t.run_at > now() ORDER BY t.run_at LIMIT 1) d",
};

static void
unreserve(struct master *m)
{
	struct slot *slot;

	POOL_FOREACH (slot, m)
		slot->reserved = false;
}

/* The slot may have died, or been told to end, since we asked. */
static bool
may_take(const struct slot *slot)
{
	return slot->state == SLOT_IDLE && slot->reserved && !slot->killed && slot->channel != -1 && !slot->retiring;
}

/* To the slot that it was claimed for, else to whoever is free next; stock.c gives it back where nobody may have it. */
static void
take_row(struct master *m, const PGresult *res, int row)
{
	struct task *task = malloc(sizeof(*task));
	struct slot *slot;
	int number;

	if (task == NULL)
		fatal(71, "out of memory"); /* EX_OSERR: the lease brings the task back */
	number = claim_read_task(res, row, task);
	slot = number >= 1 && number <= CONFIG_WORKERS_MAX ? &m->pool.slots[number - 1] : NULL;
	if (slot == NULL || !may_take(slot) || master_is_ending(m) || m->queue.claim_node != m->queue.node) {
		stock_put(m, task);
		return;
	}
	slot->reserved = false;
	dispatch_task(m, slot, task);
}

void
claim_hand_out(struct master *m)
{
	struct slot *slot;
	struct task *task;

	if (m->queue.link != LINK_READY || master_is_ending(m))
		return;
	/* ahead of tasks: while they keep coming, no worker is idle for any other reason than that it was given none */
	abandoned_run(m);
	if (results_are_full(m))
		return;
	POOL_FOREACH (slot, m) {
		if (!pool_is_available(m, slot))
			continue;
		if ((task = stock_take(m)) == NULL)
			return;
		dispatch_task(m, slot, task);
	}
	prefetch_run(m);
}

static void
next_due(void *arg, enum db_status status, PGresult *res)
{
	struct master *m = arg;
	int64_t ms;

	m->queue.asking_due = false;
	if (status != DB_OK || PQntuples(res) == 0 || PQgetisnull(res, 0, 0))
		return;
	ms = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
	m->queue.due_at = ms < m->conf->poll_ms ? clock_ms() + (ms > 0 ? ms : 0) : 0;
}

static void
ask_due(struct master *m)
{
	if (m->queue.asking_due || master_is_ending(m))
		return;
	m->queue.asking_due = true;
	db_submit(m->db, &stmt_next_due, NULL, DB_ONCE, next_due, m);
}

/* When the next claim is to be, and from where. */
static void
plan_next(struct master *m, int rows)
{
	struct queue *q = &m->queue;
	int64_t now = clock_ms(), took = now - q->claim_at, at = now + START_OVER_SHARE * took;
	bool enough = rows >= q->claim_wish;

	if (!q->claim_by_lanes && !enough && took >= IN_VAIN_MS)
		q->by_lanes_until = now + BY_LANES_MS;
	if (enough && q->claim_from_start && at < now + START_OVER_MS)
		at = now + START_OVER_MS;
	/* the one after it walks what lies between what came in front and the old place */
	if (q->claim_from_start || (q->claim_after_start && at > q->start_over_at))
		q->start_over_at = at;
	q->claim_after_start = q->claim_from_start;
	q->claim_again_at = 0;
	if (enough)
		q->claim_wanted = true;
	else if (!q->claim_from_start)
		q->claim_again_at = q->start_over_at > now ? q->start_over_at : now;
	else
		ask_due(m);
}

static void
claimed(void *arg, enum db_status status, PGresult *res)
{
	struct master *m = arg;
	struct queue *q = &m->queue;
	int i, rows = status == DB_OK ? PQntuples(res) : 0;

	q->claiming = false;
	if (status == DB_ERROR) {
		queue_log_error(m, "claiming tasks", res);
		q->claim_not_before = clock_ms() + RETRY_MS;
		q->claim_wanted = true;
	}
	if (status == DB_OK) {
		q->error_logged = false;
		for (i = 0; i < rows; i++)
			take_row(m, res, i);
		fair_charge(m, res);
		if (q->claim_starving) {
			q->claim_wanted = true; /* it says nothing of the others */
		} else {
			claim_read_place(res, &q->place);
			plan_next(m, rows);
		}
	}
	if (q->claim_node != q->node)
		stock_release(m); /* our lease has lapsed since we asked */
	unreserve(m);
	claim_hand_out(m);
	q->poll_at = clock_ms() + m->conf->poll_ms;
	recover_claim_answered(m);
}

/* Reserves idle slots, at most so many, and writes their numbers. */
static int
reserve(struct master *m, struct sqlarray *slots, int most)
{
	struct slot *slot;
	int n = 0;

	POOL_FOREACH (slot, m) {
		if (n == most)
			break;
		if (!pool_is_available(m, slot))
			continue;
		slot->reserved = true;
		sqlarray_add_int(slots, slot->number);
		n++;
	}
	return n;
}

/* The claim in the order of all, from place on or from the start. */
static void
submit_unlimited(struct master *m, const char *const *common)
{
	struct queue *q = &m->queue;
	const struct place *from = q->claim_from_start ? &start : &q->place;
	const char *params[7] = { common[0], common[1], common[2], common[3], from->rank, from->run_at, from->id };

	db_submit(m->db, &stmt_claim, params, DB_ONCE, claimed, m);
}

static void
submit_limited(struct master *m, const char *const *common)
{
	struct queue *q = &m->queue;
	struct sqlarray stores, starts, ours, claims;
	const char *shunned[CONFIG_STORES_MAX];
	const char *params[9] = { common[0], common[1], common[2], common[3] };
	int i, nshunned = limits_throttled(m, shunned);

	sqlarray_init(&stores);
	sqlarray_init(&starts);
	sqlarray_init(&ours);
	sqlarray_init(&claims);
	for (i = 0; i < nshunned; i++)
		sqlarray_add_str(&stores, shunned[i]);
	fair_list_starts(m, &starts);
	recover_list(m, &ours, &claims);
	params[4] = sqlarray_finish(&stores);
	params[5] = sqlarray_finish(&starts);
	params[6] = q->claim_starving ? "true" : "false";
	params[7] = q->claim_from_start ? "true" : "false";
	params[8] = sqlarray_finish(&ours);
	db_submit(m->db, &stmt_claim_limited, params, DB_ONCE, claimed, m);
	sqlarray_release(&claims);
	sqlarray_release(&ours);
	sqlarray_release(&starts);
	sqlarray_release(&stores);
}

static void
submit_claim(struct master *m, int ahead)
{
	struct queue *q = &m->queue;
	struct sqlarray slots, queues;
	const char *shunned[CONFIG_STORES_MAX], *common[4];
	char node[24], count[16];
	int i, turns = fair_turns(m);

	sqlarray_init(&slots);
	sqlarray_init(&queues);
	q->claim_at = clock_ms();
	q->claim_starving = turns > 0;
	q->claim_wish = reserve(m, &slots, turns > 0 ? turns : CONFIG_WORKERS_MAX) + ahead;
	if (turns > 0 && q->claim_wish > turns)
		q->claim_wish = turns;
	if (turns > 0)
		fair_take_turns(m, q->claim_wish);
	snprintf(node, sizeof(node), "%" PRId64, q->node);
	snprintf(count, sizeof(count), "%d", q->claim_wish);
	for (i = 0; i < m->conf->nqueues; i++)
		sqlarray_add_str(&queues, m->conf->queues[i]);
	common[0] = node;
	common[1] = sqlarray_finish(&slots);
	common[2] = sqlarray_finish(&queues);
	common[3] = count;
	q->claiming = true;
	q->claim_node = q->node;
	q->claim_wanted = false;
	q->claim_from_start = q->place.id[0] == '\0' || q->start_over_at <= q->claim_at;
	q->claim_by_lanes = q->claim_starving || quota_limits_claims(m) || limits_throttled(m, shunned) > 0 ||
	    q->claim_at < q->by_lanes_until;
	if (q->claim_by_lanes)
		submit_limited(m, common);
	else
		submit_unlimited(m, common);
	sqlarray_release(&queues);
	sqlarray_release(&slots);
}

static void
claim(struct master *m)
{
	const struct slot *slot;
	int ahead = stock_wish(m);

	if (results_are_full(m))
		return; /* the database does not keep up, or is away */
	POOL_FOREACH (slot, m)
		if (pool_is_available(m, slot) || ahead > 0) {
			submit_claim(m, ahead);
			return;
		}
	/* the next one to become idle asks */
}

void
claim_run(struct master *m)
{
	struct queue *q = &m->queue;
	int64_t now = clock_ms();

	if (q->link != LINK_READY || m->phase > PHASE_DRAINING)
		return;
	stale_run(m);
	if (master_is_ending(m))
		return;
	if ((q->poll_at != 0 && q->poll_at <= now) || (q->due_at != 0 && q->due_at <= now)) {
		q->poll_at = now + m->conf->poll_ms;
		q->due_at = 0;
		q->claim_wanted = true;
	}
	if (limits_run(m))
		q->claim_wanted = true;
	if (q->claim_again_at != 0 && q->claim_again_at <= now) {
		q->claim_again_at = 0;
		q->claim_wanted = true;
	}
	claim_hand_out(m);
	if (q->claim_wanted && !q->claiming && q->claim_not_before <= now)
		claim(m);
}

int64_t
claim_deadline(const struct master *m)
{
	const struct queue *q = &m->queue;
	int64_t at;

	if (q->link != LINK_READY || m->phase > PHASE_DRAINING)
		return 0;
	at = stale_deadline(m);
	if (master_is_ending(m))
		return at;
	at = clock_earlier(clock_earlier(at, limits_deadline(m)), clock_earlier(q->poll_at, q->due_at));
	at = clock_earlier(at, q->claim_again_at);
	if (q->claim_wanted && !q->claiming && q->claim_not_before > clock_ms())
		at = clock_earlier(at, q->claim_not_before);
	return clock_earlier(at, abandoned_deadline(m));
}

void
claim_wake(struct master *m)
{
	m->queue.claim_wanted = true;
}

void
claim_check(struct master *m)
{
	m->queue.check_again = true;
	abandoned_after_cancel(m);
}
