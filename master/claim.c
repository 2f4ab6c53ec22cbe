/*
 * Owns the claim statement, its timing, and the look at whether running tasks are still ours.
 */
#include "master/claim.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "master/claim_row.h"
#include "master/dispatch.h"
#include "master/limits.h"
#include "master/pool.h"
#include "master/queue.h"
#include "master/quota.h"
#include "master/recover.h"
#include "master/results.h"
#include "master/settle.h"
#include "master/sqlarray.h"

#define RETRY_MS 1000		/* after the database has refused a claim */
#define REAP_FIRST_MS 10000	/* after the start */
#define REAP_SOON_MS 1000

/*
 * $1 node, $2 slot numbers, $3 queues, $4 how many.  Both fences matter: without MATERIALIZED a nested loop could lock, and update,
 * more rows than the limit.
 */
#define CLAIMED \
	"t.worker, t.id, t.claim, t.attempt, t.crashes, t.ooms, t.max_attempts, t.if_exists, t.expect_size, " \
	"t.expect_crc64, t.source, t.destination, t.content_type, t.storage_class, " \
	"(SELECT string_agg(key || E'\\x1f' || value || E'\\x1e', '' ORDER BY key) FROM jsonb_each_text(t.metadata)), t.queue"

static const struct db_stmt stmt_claim = {
	.name = "claim",
	.nparams = 4,
	.sql = "WITH ready AS MATERIALIZED ("
	       "SELECT t.id FROM ferry.task t WHERE t.state = 'queued' AND t.run_at <= now() "
	       "AND t.queue = ANY (ARRAY(SELECT u FROM unnest($3::text[]) u "
	       "WHERE NOT EXISTS (SELECT FROM ferry.queue q WHERE q.name = u AND NOT q.enabled))) "
	       "ORDER BY t.priority DESC, t.run_at, t.id LIMIT $4::integer FOR UPDATE SKIP LOCKED), "
	       "numbered AS MATERIALIZED (SELECT id, ($2::integer[])[row_number() OVER ()] AS slot FROM ready) "
	       "UPDATE ferry.task t SET state = 'running', claim = t.claim + 1, node = $1::bigint, worker = n.slot, "
	       "started_at = coalesce(t.started_at, now()) FROM numbered n WHERE t.id = n.id "
	       "RETURNING " CLAIMED,
};

/* Where something is limited, or $5, stores that have asked to slow down, are to be left alone. */
static const struct db_stmt stmt_claim_limited = {
	.name = "claim_limited",
	.nparams = 5,
	.sql = "SELECT " CLAIMED " FROM ferry.claim($1::bigint, $2::integer[], $3::text[], $4::integer, $5::text[]) t",
};

/* How long until the next task that is not due yet: the first of each priority, each found by the index alone. */
static const struct db_stmt stmt_next_due = {
	.name = "next_due",
	.nparams = 0,
	.sql = "WITH RECURSIVE level(priority) AS ("
	       "(SELECT priority FROM ferry.task WHERE state = 'queued' ORDER BY priority DESC LIMIT 1) UNION ALL "
	       "SELECT (SELECT t.priority FROM ferry.task t WHERE t.state = 'queued' AND t.priority < l.priority "
	       "ORDER BY t.priority DESC LIMIT 1) FROM level l WHERE l.priority IS NOT NULL) "
	       "SELECT ceil(extract(epoch FROM min(d.run_at) - clock_timestamp()) * 1000)::bigint FROM level l "
	       "CROSS JOIN LATERAL (SELECT t.run_at FROM ferry.task t WHERE t.state = 'queued' AND t.priority = l.priority "
	       "AND t.run_at > now() ORDER BY t.run_at LIMIT 1) d",
};

static const struct db_stmt stmt_lost = {
	.name = "lost_claims",
	.nparams = 2,
	.sql = "SELECT h.id, h.claim FROM unnest($1::bigint[], $2::bigint[]) AS h(id, claim) WHERE NOT EXISTS ("
	       "SELECT FROM ferry.task t WHERE t.id = h.id AND t.claim = h.claim AND t.state = 'running')",
};

static void
unreserve(struct master *m)
{
	struct slot *slot;

	POOL_FOREACH (slot, m)
		slot->reserved = false;
}

static void
take_row(struct master *m, const PGresult *res, int row)
{
	struct task task;
	struct slot *slot;
	int number = claim_read_task(res, row, &task);

	slot = number >= 1 && number <= CONFIG_WORKERS_MAX ? &m->pool.slots[number - 1] : NULL;
	/* It may have died, our lease may have lapsed, or we may have been told to stop, since we asked. */
	if (slot == NULL || !slot->reserved || slot->state != SLOT_IDLE || slot->killed || slot->channel == -1 ||
	    slot->retiring || m->queue.claim_node != m->queue.node || master_is_ending(m)) {
		log_debug("task %" PRId64 ": worker %d cannot take it any more; requeued", task.id, number);
		settle_release(m, task.id, task.claim);
		m->queue.claim_wanted = true;
		return;
	}
	slot->reserved = false;
	dispatch_task(m, slot, &task);
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
claimed(void *arg, enum db_status status, PGresult *res)
{
	struct master *m = arg;
	struct queue *q = &m->queue;
	int i, rows = 0, wanted = 0;
	struct slot *slot;

	q->claiming = false;
	POOL_FOREACH (slot, m)
		wanted += slot->reserved;
	if (status == DB_ERROR) {
		queue_log_error(m, "claiming tasks", res);
		q->claim_not_before = clock_ms() + RETRY_MS;
		q->claim_wanted = true;
	}
	if (status == DB_OK) {
		q->error_logged = false;
		rows = PQntuples(res);
		for (i = 0; i < rows; i++)
			take_row(m, res, i);
	}
	unreserve(m);
	q->poll_at = clock_ms() + m->conf->poll_ms;
	if (rows > 0 && rows >= wanted)
		q->claim_wanted = true;
	else if (status == DB_OK && !q->asking_due && !master_is_ending(m)) {
		q->asking_due = true;
		db_submit(m->db, &stmt_next_due, NULL, DB_ONCE, next_due, m);
	}
	recover_claim_answered(m);
}

/* Reserves the idle slots, and writes their numbers. */
static int
reserve(struct master *m, struct sqlarray *slots)
{
	struct slot *slot;
	int n = 0;

	POOL_FOREACH (slot, m) {
		if (!pool_is_available(m, slot))
			continue;
		slot->reserved = true;
		sqlarray_add_int(slots, slot->number);
		n++;
	}
	return n;
}

static void
submit_claim(struct master *m)
{
	struct sqlarray slots, queues, stores;
	const char *shunned[CONFIG_STORES_MAX];
	char node[24], count[16];
	const char *params[5] = { node, NULL, NULL, count, NULL };
	int i, nshunned = limits_throttled(m, shunned);
	bool limited = nshunned > 0 || quota_limits_claims(m);

	sqlarray_init(&slots);
	sqlarray_init(&queues);
	sqlarray_init(&stores);
	snprintf(node, sizeof(node), "%" PRId64, m->queue.node);
	snprintf(count, sizeof(count), "%d", reserve(m, &slots));
	for (i = 0; i < m->conf->nqueues; i++)
		sqlarray_add_str(&queues, m->conf->queues[i]);
	for (i = 0; i < nshunned; i++)
		sqlarray_add_str(&stores, shunned[i]);
	params[1] = sqlarray_finish(&slots);
	params[2] = sqlarray_finish(&queues);
	params[4] = sqlarray_finish(&stores);
	m->queue.claiming = true;
	m->queue.claim_node = m->queue.node;
	m->queue.claim_wanted = false;
	db_submit(m->db, limited ? &stmt_claim_limited : &stmt_claim, params, DB_ONCE, claimed, m);
	sqlarray_release(&stores);
	sqlarray_release(&queues);
	sqlarray_release(&slots);
}

static void
claim(struct master *m)
{
	const struct slot *slot;

	if (results_are_full(m))
		return; /* the database does not keep up, or is away */
	POOL_FOREACH (slot, m)
		if (pool_is_available(m, slot)) {
			submit_claim(m);
			return;
		}
	/* the next one to become idle asks */
}

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
	}
}

static void
check(struct master *m)
{
	struct sqlarray ids, claims;
	const struct slot *slot;
	const char *params[2];

	m->queue.check_again = false;
	sqlarray_init(&ids);
	sqlarray_init(&claims);
	POOL_FOREACH (slot, m)
		if (slot->task != NULL && !slot->cancelled) {
			sqlarray_add_int(&ids, slot->task->id);
			sqlarray_add_int(&claims, slot->task->claim);
		}
	m->queue.check_at = ids.n > 0 ? clock_ms() + CLAIM_CHECK_MS : 0;
	params[0] = sqlarray_finish(&ids);
	params[1] = sqlarray_finish(&claims);
	if (ids.n > 0) {
		m->queue.checking = true;
		db_submit(m->db, &stmt_lost, params, DB_ONCE, checked, m);
	}
	sqlarray_release(&claims);
	sqlarray_release(&ids);
}

static void
reap(struct master *m)
{
	struct slot *slot;

	POOL_FOREACH (slot, m)
		if (pool_is_available(m, slot)) {
			dispatch_reap(slot);
			m->queue.reap_at = clock_ms() + m->conf->reap_interval_ms;
			return;
		}
}

void
claim_run(struct master *m)
{
	struct queue *q = &m->queue;
	int64_t now = clock_ms();

	if (q->link != LINK_READY || m->phase > PHASE_DRAINING)
		return;
	if (!q->checking && (q->check_again || (q->check_at != 0 && q->check_at <= now)))
		check(m);
	if (master_is_ending(m))
		return;
	if (q->reap_at == 0)
		q->reap_at = now + REAP_FIRST_MS;
	/* a new configuration may want it sooner */
	q->reap_at = clock_earlier(q->reap_at, now + m->conf->reap_interval_ms);
	if (q->reap_at <= now)
		reap(m);
	if ((q->poll_at != 0 && q->poll_at <= now) || (q->due_at != 0 && q->due_at <= now)) {
		q->poll_at = now + m->conf->poll_ms;
		q->due_at = 0;
		q->claim_wanted = true;
	}
	if (limits_run(m))
		q->claim_wanted = true;
	if (q->claim_wanted && !q->claiming && q->claim_not_before <= now)
		claim(m);
}

int64_t
claim_deadline(const struct master *m)
{
	const struct queue *q = &m->queue;
	const struct slot *slot;
	int64_t at;

	if (q->link != LINK_READY || m->phase > PHASE_DRAINING)
		return 0;
	at = q->checking ? 0 : q->check_at;
	if (master_is_ending(m))
		return at;
	at = clock_earlier(clock_earlier(at, limits_deadline(m)), clock_earlier(q->poll_at, q->due_at));
	if (q->claim_wanted && !q->claiming && q->claim_not_before > clock_ms())
		at = clock_earlier(at, q->claim_not_before);
	/* Overdue, it waits for a worker to become idle, not for the clock. */
	POOL_FOREACH (slot, m)
		if (pool_is_available(m, slot))
			return clock_earlier(at, q->reap_at);
	return at;
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
	claim_reap_soon(m);
}

void
claim_reap_soon(struct master *m)
{
	m->queue.reap_at = clock_earlier(m->queue.reap_at, clock_ms() + REAP_SOON_MS);
}

void
claim_reap_now(struct master *m)
{
	m->queue.reap_at = clock_ms();
}
