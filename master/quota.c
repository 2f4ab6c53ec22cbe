/*
 * Owns what this node tells the database about its limits, and what the database tells it.
 */
#include "master/quota.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "master/claim.h"
#include "master/pool.h"
#include "master/queue.h"
#include "master/shares.h"
#include "master/sqlarray.h"

#define ASK_EVERY_MS 1000 /* while a task of ours is under a rate */
#define ASK_LEAST_MS 100  /* between two questions, however many changes there are */
#define ASK_AGAIN_MS 10000 /* after a refusal */

/* $1 node, $2 stores, $3 and $4 their limits, 0 for none. */
static const struct db_stmt stmt_state = {
	.name = "state_limits",
	.nparams = 4,
	.sql = "WITH mine AS MATERIALIZED (SELECT * FROM unnest($2::text[], $3::integer[], $4::bigint[]) AS s(store, most, rate)), "
	       "gone AS (DELETE FROM ferry.node_store WHERE node = $1::bigint AND store NOT IN (SELECT store FROM mine)) "
	       "INSERT INTO ferry.node_store (node, store, max_transfers, rate) "
	       "SELECT $1::bigint, store, nullif(most, 0), nullif(rate, 0) FROM mine "
	       "ON CONFLICT (node, store) DO UPDATE SET max_transfers = excluded.max_transfers, rate = excluded.rate",
};

/* For the partition, and for the index of what is running: see schema-004.sql. */
#define RUNNING "state = 'running' AND (state = 'running') IS TRUE"

/* $1 node, $2 our stores, $3 our queues. */
static const struct db_stmt stmt_ask = {
	.name = "ask_limits",
	.nparams = 3,
	.sql = "WITH others AS MATERIALIZED (SELECT queue, source_store, destination_store FROM ferry.task "
	       "WHERE " RUNNING " AND node < $1::bigint UNION ALL SELECT queue, source_store, destination_store FROM ferry.task "
	       "WHERE " RUNNING " AND node > $1::bigint) "
	       "SELECT l.kind, l.name, l.max_transfers, l.rate, l.weight, (SELECT count(*) FROM others t "
	       "WHERE l.kind = 'queue' AND t.queue = l.name OR l.kind = 'store' AND l.name IN (t.source_store, t.destination_store)) "
	       "FROM ferry.limits l WHERE l.kind = 'store' AND l.name = ANY ($2::text[]) "
	       "OR l.kind = 'queue' AND l.name = ANY ($3::text[])",
};

static const struct db_stmt stmt_leave = {
	.name = "leave_limit",
	.nparams = 0,
	.sql = "SELECT pg_notify('ferry_limit', '')",
};

static const struct quota *
find(const struct quotas *quotas, bool is_queue, const char *name)
{
	const struct quota *q;

	for (q = quotas->list; q < quotas->list + quotas->n; q++)
		if (q->is_queue == is_queue && strcmp(q->name, name) == 0)
			return q;
	return NULL;
}

const struct quota *
quota_find(const struct master *m, const struct slot *slot, int i)
{
	return slot->uses[i].name[0] == '\0' ? NULL : find(&m->quotas, i == USE_QUEUE, slot->uses[i].name);
}

bool
quota_limits_claims(const struct master *m)
{
	return !m->quotas.known || m->quotas.n > 0;
}

static bool
is_limit(const struct quota *q)
{
	return q->max_transfers > 0 || q->rate > 0;
}

bool
quota_limits_transfers(const struct master *m)
{
	const struct quota *q;

	for (q = m->quotas.list; q < m->quotas.list + m->quotas.n; q++)
		if (is_limit(q))
			return true;
	return !m->quotas.known;
}

static bool
uses_rate(const struct master *m, const struct slot *slot)
{
	const struct quota *q;
	int i;

	for (i = 0; slot->task != NULL && i < SLOT_USES; i++)
		if ((q = quota_find(m, slot, i)) != NULL && q->rate > 0)
			return true;
	return false;
}

/* Once for each value that is not what our configuration says. */
static void
log_other(const struct master *m, const struct quota *now, const struct quota *before)
{
	const struct config_store *store = config_find_store(m->conf, now->name);
	int most = before != NULL ? before->max_transfers : 0;
	int64_t rate = before != NULL ? before->rate : 0;

	if (now->is_queue || store == NULL)
		return;
	if (now->max_transfers != store->max_transfers && now->max_transfers != most)
		log_warn("store %s: max_transfers of %d, which another node states, holds; it is %d here (0: none)", now->name,
		    now->max_transfers, store->max_transfers);
	if (now->rate != store->rate && now->rate != rate)
		log_warn("store %s: a rate of %" PRId64 ", which another node states, holds; it is %" PRId64 " here (0: none)",
		    now->name, now->rate, store->rate);
}

static void
take(struct quota *quota, const PGresult *res, int row)
{
	memset(quota, 0, sizeof(*quota));
	quota->is_queue = strcmp(PQgetvalue(res, row, 0), "queue") == 0;
	strlcpy(quota->name, PQgetvalue(res, row, 1), sizeof(quota->name));
	/* NULL reads as "" and so as 0 */
	quota->max_transfers = (int)strtol(PQgetvalue(res, row, 2), NULL, 10);
	quota->rate = strtoll(PQgetvalue(res, row, 3), NULL, 10);
	quota->weight = (int)strtol(PQgetvalue(res, row, 4), NULL, 10);
	quota->others = (int)strtol(PQgetvalue(res, row, 5), NULL, 10);
}

/* Whether claims may find more than before: a limit has been raised or lifted. */
static bool
is_wider(const struct quotas *now, const struct quotas *before)
{
	const struct quota *q, *other;

	for (q = before->list; q < before->list + before->n; q++) {
		other = find(now, q->is_queue, q->name);
		if (q->max_transfers > 0 && (other == NULL || other->max_transfers == 0 || other->max_transfers > q->max_transfers))
			return true;
	}
	return false;
}

static void
told(void *arg, enum db_status status, PGresult *res)
{
	struct master *m = arg;
	struct quotas *quotas = &m->quotas, before;
	int i;

	quotas->asking = false;
	if (status == DB_ERROR) {
		/* claims go on, under the database's own eye; the rates stay as they were */
		queue_log_error(m, "asking for limits", res);
		quotas->wanted = true;
		quotas->ask_at = clock_ms() + ASK_AGAIN_MS;
	}
	if (status != DB_OK)
		return;
	before = *quotas;
	for (i = quotas->n = 0; i < PQntuples(res) && i < QUOTAS_MAX; i++) {
		take(&quotas->list[quotas->n++], res, i);
		log_other(m, &quotas->list[i], find(&before, quotas->list[i].is_queue, quotas->list[i].name));
	}
	quotas->known = true;
	if (is_wider(quotas, &before))
		claim_wake(m);
	shares_divide(m);
}

static void
ask(struct master *m)
{
	struct sqlarray stores, queues;
	char node[24];
	const char *params[3] = { node, NULL, NULL };
	int i;

	snprintf(node, sizeof(node), "%" PRId64, m->queue.node);
	sqlarray_init(&stores);
	sqlarray_init(&queues);
	for (i = 0; i < m->conf->nstores; i++)
		sqlarray_add_str(&stores, m->conf->stores[i].name);
	for (i = 0; i < m->conf->nqueues; i++)
		sqlarray_add_str(&queues, m->conf->queues[i]);
	params[1] = sqlarray_finish(&stores);
	params[2] = sqlarray_finish(&queues);
	m->quotas.asking = true;
	m->quotas.wanted = false;
	m->quotas.ask_at = clock_ms() + ASK_LEAST_MS;
	db_submit(m->db, &stmt_ask, params, DB_ONCE, told, m);
	sqlarray_release(&queues);
	sqlarray_release(&stores);
}

void
quota_state(struct master *m)
{
	struct sqlarray stores, transfers, rates;
	char node[24];
	const char *params[4] = { node, NULL, NULL, NULL };
	int i;

	if (m->queue.link != LINK_READY)
		return;
	snprintf(node, sizeof(node), "%" PRId64, m->queue.node);
	sqlarray_init(&stores);
	sqlarray_init(&transfers);
	sqlarray_init(&rates);
	for (i = 0; i < m->conf->nstores; i++) {
		sqlarray_add_str(&stores, m->conf->stores[i].name);
		sqlarray_add_int(&transfers, m->conf->stores[i].max_transfers);
		sqlarray_add_int(&rates, m->conf->stores[i].rate);
	}
	params[1] = sqlarray_finish(&stores);
	params[2] = sqlarray_finish(&transfers);
	params[3] = sqlarray_finish(&rates);
	/* sent before any claim of ours: statements keep their order */
	db_submit(m->db, &stmt_state, params, DB_REPEAT, NULL, NULL);
	sqlarray_release(&rates);
	sqlarray_release(&transfers);
	sqlarray_release(&stores);
	m->quotas.known = false;
	ask(m);
}

void
quota_changed(struct master *m)
{
	m->quotas.wanted = true;
}

void
quota_forget(struct master *m)
{
	m->quotas.known = m->quotas.wanted = false;
}

void
quota_made_room(struct master *m)
{
	if (m->queue.link == LINK_READY)
		db_submit(m->db, &stmt_leave, NULL, DB_ONCE, NULL, NULL);
}

void
quota_leave(struct master *m, const struct slot *slot)
{
	const struct quota *q;
	int i;

	for (i = 0; i < SLOT_USES; i++)
		if ((q = quota_find(m, slot, i)) != NULL && is_limit(q)) {
			quota_made_room(m);
			return;
		}
}

int64_t
quota_deadline(const struct master *m)
{
	const struct quotas *q = &m->quotas;
	const struct slot *slot;

	if (m->queue.link != LINK_READY || m->phase > PHASE_DRAINING || q->asking)
		return 0;
	if (q->wanted)
		return q->ask_at;
	POOL_FOREACH (slot, m)
		if (uses_rate(m, slot))
			return q->ask_at + ASK_EVERY_MS - ASK_LEAST_MS;
	return 0;
}

void
quota_run(struct master *m)
{
	int64_t at = quota_deadline(m);

	if (at != 0 && at <= clock_ms())
		ask(m);
}
