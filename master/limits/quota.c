#include "master/limits/quota.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/db/params.h"
#include "master/node/planner.h"
#include "master/node/sqlarray.h"

#define ASK_EVERY_MS 1000 /* while a task of ours is under a rate */
#define ASK_LEAST_MS 100 /* between two questions, however many changes there are */
#define ASK_AGAIN_MS 10000 /* after a refusal */

/* $1 node, $2 stores, $3 and $4 their limits, 0 for none, $5 queues. */
static const struct db_stmt stmt_state = {
	.name = "state_limits",
	.nparams = 5,
	.sql = "WITH serves AS ("
	       "UPDATE ferry.node "
	       "SET queues = $5::text[] "
	       "WHERE id = $1::bigint), "
	       "mine AS MATERIALIZED ("
	       "SELECT * FROM unnest($2::text[], $3::integer[], $4::bigint[]) "
	       "AS s(store, most, rate)), "
	       "gone AS ("
	       "DELETE FROM ferry.node_store "
	       "WHERE node = $1::bigint AND store NOT IN (SELECT store FROM mine)) "
	       "INSERT INTO ferry.node_store (node, store, max_transfers, rate) "
	       "SELECT $1::bigint, store, nullif(most, 0), nullif(rate, 0) "
	       "FROM mine "
	       "ON CONFLICT (node, store) DO UPDATE "
	       "SET max_transfers = excluded.max_transfers, rate = excluded.rate",
};

/* $1 node, $2 our stores, $3 our queues. */
static const struct db_stmt stmt_ask = {
	.name = "ask_limits",
	.nparams = 3,
	.sql = "WITH others AS MATERIALIZED ("
	       "SELECT queue, source_store, destination_store FROM ferry.task "
	       "WHERE " TASK_RUNNING(
		   "") " AND node < $1::bigint "
		       "UNION ALL "
		       "SELECT queue, source_store, destination_store FROM ferry.task "
		       "WHERE " TASK_RUNNING(
			   "") " AND node > $1::bigint) "
			       "SELECT l.kind, l.name, l.max_transfers, l.rate, l.weight, "
			       "(SELECT count(*) FROM others t "
			       "WHERE l.kind = 'queue' AND t.queue = l.name "
			       "OR l.kind = 'store' AND l.name IN (t.source_store, "
			       "t.destination_store)) "
			       "FROM ferry.limits l "
			       "WHERE l.kind = 'store' AND l.name = ANY ($2::text[]) "
			       "OR l.kind = 'queue' AND l.name = ANY ($3::text[])",
};
enum { KIND, NAME, MAX_TRANSFERS, RATE, WEIGHT, OTHERS };

static const struct db_stmt stmt_room = {
	.name = "room",
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
quota_find(const struct limits *l, const struct slot *slot, int i)
{
	return slot->uses[i].name[0] == '\0' ? NULL
					     : find(&l->quotas, i == USE_QUEUE, slot->uses[i].name);
}

bool
quota_limits_claims(const struct limits *l)
{
	return !l->quotas.known || l->quotas.n > 0;
}

static bool
is_limit(const struct quota *q)
{
	return q->max_transfers > 0 || q->rate > 0;
}

bool
quota_limits_transfers(const struct limits *l)
{
	const struct quota *q;

	for (q = l->quotas.list; q < l->quotas.list + l->quotas.n; q++)
		if (is_limit(q))
			return true;
	return !l->quotas.known;
}

static bool
uses_rate(const struct limits *l, const struct slot *slot)
{
	const struct quota *q;
	int i;

	for (i = 0; slot->task != NULL && i < SLOT_USES; i++)
		if ((q = quota_find(l, slot, i)) != NULL && q->rate > 0)
			return true;
	return false;
}

/* Logs each value that our configuration states differently, once. */
static void
log_other(const struct limits *l, const struct quota *now, const struct quota *before)
{
	const struct config_store *store = config_find_store(l->state->conf, now->name);
	int most = before != NULL ? before->max_transfers : 0;
	int64_t rate = before != NULL ? before->rate : 0;

	if (now->is_queue || store == NULL)
		return;
	if (now->max_transfers != store->max_transfers && now->max_transfers != most)
		log_warn("store %s: max_transfers is %d by the configuration of another node; "
			 "here it is %d (0: no limit)",
		    now->name, now->max_transfers, store->max_transfers);
	if (now->rate != store->rate && now->rate != rate)
		log_warn("store %s: rate is %" PRId64
			 " by the configuration of another node; here it is %" PRId64
			 " (0: no limit)",
		    now->name, now->rate, store->rate);
}

static void
take(struct quota *quota, const PGresult *res, int row)
{
	memset(quota, 0, sizeof(*quota));
	quota->is_queue = strcmp(PQgetvalue(res, row, KIND), "queue") == 0;
	strlcpy(quota->name, PQgetvalue(res, row, NAME), sizeof(quota->name));
	/* NULL reads as "" and so as 0 */
	quota->max_transfers = (int)strtol(PQgetvalue(res, row, MAX_TRANSFERS), NULL, 10);
	quota->rate = strtoll(PQgetvalue(res, row, RATE), NULL, 10);
	quota->weight = (int)strtol(PQgetvalue(res, row, WEIGHT), NULL, 10);
	quota->others = (int)strtol(PQgetvalue(res, row, OTHERS), NULL, 10);
}

/* Whether claims may find more tasks than before: a quota has been raised or lifted. */
static bool
is_wider(const struct quotas *now, const struct quotas *before)
{
	const struct quota *q, *other;

	for (q = before->list; q < before->list + before->n; q++) {
		other = find(now, q->is_queue, q->name);
		if (q->max_transfers > 0 && (other == NULL || other->max_transfers == 0 ||
						other->max_transfers > q->max_transfers))
			return true;
	}
	return false;
}

static void
told(void *arg, enum db_status status, PGresult *res)
{
	struct limits *l = arg;
	struct quotas *quotas = &l->quotas, before;
	int i;

	quotas->asking = false;
	if (status == DB_ERROR) {
		/* Claims go on: ferry.claim() keeps the quotas.  The rates stay as they were. */
		refusals_add(&l->node->refusals, WORK_QUOTAS, res);
		agenda_limits(&l->state->agenda);
		quotas->ask_at = clock_ms() + ASK_AGAIN_MS;
	}
	if (status != DB_OK)
		return;
	refusals_relieve(&l->node->refusals, WORK_QUOTAS);
	before = *quotas;
	for (i = quotas->n = 0; i < PQntuples(res) && i < QUOTAS_MAX; i++) {
		take(&quotas->list[quotas->n++], res, i);
		log_other(l, &quotas->list[i],
		    find(&before, quotas->list[i].is_queue, quotas->list[i].name));
	}
	quotas->known = true;
	if (is_wider(quotas, &before))
		agenda_claim(&l->state->agenda);
	l->state->agenda.divide = true;
}

static void
ask(struct limits *l)
{
	const struct config *conf = l->state->conf;
	struct params p = { .n = 0 };
	struct sqlarray stores, queues;
	int i;

	sqlarray_init(&stores);
	sqlarray_init(&queues);
	for (i = 0; i < conf->nstores; i++)
		sqlarray_add_str(&stores, conf->stores[i].name);
	for (i = 0; i < conf->nqueues; i++)
		sqlarray_add_str(&queues, conf->queues[i]);
	params_int(&p, node_id(l->node));
	params_text(&p, sqlarray_finish(&stores));
	params_text(&p, sqlarray_finish(&queues));
	l->quotas.asking = true;
	l->quotas.ask_at = clock_ms() + ASK_LEAST_MS;
	l->state->agenda.limits = false;
	db_submit(l->node->db, &stmt_ask, p.values, DB_ONCE, told, l);
	sqlarray_release(&queues);
	sqlarray_release(&stores);
}

/* Statements keep their order, so the database knows these before our next claim. */
static void
state_ours(struct limits *l)
{
	const struct config *conf = l->state->conf;
	struct params p = { .n = 0 };
	struct sqlarray stores, transfers, rates, queues;
	int i;

	sqlarray_init(&stores);
	sqlarray_init(&transfers);
	sqlarray_init(&rates);
	sqlarray_init(&queues);
	for (i = 0; i < conf->nstores; i++) {
		sqlarray_add_str(&stores, conf->stores[i].name);
		sqlarray_add_int(&transfers, conf->stores[i].max_transfers);
		sqlarray_add_int(&rates, conf->stores[i].rate);
	}
	for (i = 0; i < conf->nqueues; i++)
		sqlarray_add_str(&queues, conf->queues[i]);
	params_int(&p, node_id(l->node));
	params_text(&p, sqlarray_finish(&stores));
	params_text(&p, sqlarray_finish(&transfers));
	params_text(&p, sqlarray_finish(&rates));
	params_text(&p, sqlarray_finish(&queues));
	db_submit(l->node->db, &stmt_state, p.values, DB_REPEAT, NULL, NULL);
	sqlarray_release(&queues);
	sqlarray_release(&rates);
	sqlarray_release(&transfers);
	sqlarray_release(&stores);
}

void
quota_declare(struct limits *l)
{
	if (!link_is_ready(l->node))
		return;
	state_ours(l);
	l->quotas.known = false;
	ask(l);
}

void
quota_forget(struct limits *l)
{
	l->quotas.known = false;
	l->state->agenda.limits = false;
}

void
quota_notify_room(struct limits *l)
{
	if (link_is_ready(l->node))
		db_submit(l->node->db, &stmt_room, NULL, DB_ONCE, NULL, NULL);
}

void
quota_task_over(struct limits *l, const struct slot *slot)
{
	const struct quota *q;
	int i;

	for (i = 0; i < SLOT_USES; i++)
		if ((q = quota_find(l, slot, i)) != NULL && is_limit(q)) {
			quota_notify_room(l);
			return;
		}
}

int64_t
quota_deadline(const struct limits *l)
{
	const struct quotas *q = &l->quotas;
	const struct slot *slot;

	if (!link_is_ready(l->node) || l->state->phase > PHASE_DRAINING || q->asking)
		return 0;
	if (l->state->agenda.limits)
		return q->ask_at;
	POOL_FOREACH (slot, l->pool)
		if (uses_rate(l, slot))
			return q->ask_at + ASK_EVERY_MS - ASK_LEAST_MS;
	return 0;
}

void
quota_run(struct limits *l)
{
	int64_t at = quota_deadline(l);

	if (at != 0 && at <= clock_ms())
		ask(l);
}
