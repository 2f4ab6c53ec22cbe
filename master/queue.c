/*
 * Owns the database handle and the conversation on each new connection: LISTEN, schema version, our row, reconciliation;
 * only then are tasks claimed.
 */
#include "master/queue.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "master/abandoned.h"
#include "master/claim.h"
#include "master/dispatch.h"
#include "master/lease.h"
#include "master/life.h"
#include "master/pool.h"
#include "master/prefetch.h"
#include "master/quota.h"
#include "master/recover.h"
#include "master/results.h"
#include "master/second.h"
#include "master/stock.h"

#define DEFAULT_PIDFILE "/run/ferryd/ferryd.pid"
#define SCHEMA_RETRY_MS 5000
#define RESCUE_AFTER_MS 10 /* the end of a lease */
#define RESCUE_SPREAD_MS 200

static const struct db_stmt stmt_listen_task = { "listen_task", "LISTEN ferry_task", 0 };
static const struct db_stmt stmt_listen_cancel = { "listen_cancel", "LISTEN ferry_cancel", 0 };
static const struct db_stmt stmt_listen_limit = { "listen_limit", "LISTEN ferry_limit", 0 };
static const struct db_stmt stmt_listen_reap = { "listen_reap", "LISTEN ferry_reap", 0 };

/*
 * A claim walks the index of ready tasks in its order and stops after a few rows.  Statistics of a queue are out of date as
 * soon as they are made; a planner that believes it to be empty would collect and sort all of it instead.
 * What is switched off counts as so dear that the statement would be compiled, which takes longer than to run it.
 */
static const struct db_stmt stmt_walk_indexes = {
	.name = "walk_indexes",
	.nparams = 0,
	.sql = "SELECT set_config(name, 'off', false) FROM unnest(ARRAY['enable_sort', 'enable_bitmapscan', 'enable_seqscan', "
	       "'jit']) name",
};

/* Milliseconds until the first lease of another node lapses; each has one from the start of the server on. */
#define NEXT_LAPSE(own) \
	"(SELECT ceil(extract(epoch FROM min(greatest(o.renewed_at, pg_postmaster_start_time()) + o.lease) - now()) * 1000)::bigint " \
	"FROM ferry.node o WHERE o.id <> " own ")"

static const struct db_stmt stmt_register = {
	.name = "register",
	.nparams = 4,
	.sql = "INSERT INTO ferry.node AS n (name, pid, version, lease) "
	       "VALUES ($1, $2::integer, $3, $4::bigint * interval '1 millisecond') RETURNING id, " NEXT_LAPSE("n.id"),
};

static const struct db_stmt stmt_renew = {
	.name = "renew",
	.nparams = 3,
	.sql = "UPDATE ferry.node SET renewed_at = now(), lease = $2::bigint * interval '1 millisecond', workers = $3::jsonb "
	       "WHERE id = $1::bigint RETURNING id, " NEXT_LAPSE("$1::bigint"),
};

void
queue_log_error(struct master *m, const char *what, const PGresult *res)
{
	char why[256];

	if (!m->queue.error_logged)
		log_error("%s: the database refuses: %s; will try again", what, db_error_message(res, why, sizeof(why)));
	m->queue.error_logged = true;
}

/* Host and pid file tell apart what runs on one machine; the row's id, what ran before. */
static void
set_node_name(struct master *m)
{
	char host[256] = "localhost";

	gethostname(host, sizeof(host) - 1);
	if (strcmp(m->conf->pidfile, DEFAULT_PIDFILE) == 0)
		strlcpy(m->queue.node_name, host, sizeof(m->queue.node_name));
	else
		snprintf(m->queue.node_name, sizeof(m->queue.node_name), "%s %s", host, m->conf->pidfile);
}

static char *
describe_workers(const struct master *m)
{
	const struct slot *slot;
	const char *comma = "";
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (out == NULL)
		fatal(EX_OSERR, "out of memory");
	putc('[', out);
	POOL_FOREACH (slot, m) {
		if (!pool_is_live(slot))
			continue;
		fprintf(out, "%s{\"slot\":%d,\"pid\":%d,\"state\":\"%s\"}", comma, slot->number, (int)slot->pid,
		    pool_state_name(slot->state));
		comma = ",";
	}
	putc(']', out);
	if (fclose(out) != 0)
		fatal(EX_OSERR, "out of memory");
	return text;
}

/* Our row is there: from now on tasks may be claimed. */
static void
set_ready(struct master *m)
{
	struct queue *q = &m->queue;

	q->link = LINK_READY;
	q->renew_at = clock_ms() + m->conf->lease_ms / 3;
	quota_state(m);
	recover_reconcile(m);
	claim_wake(m);
	life_started(m);
}

/*
 * Among nodes that renew, none is as near to its end as our own next renewal.  One that is will be looked at when it is over, so
 * that a rescue follows at once whatever the lease; not by all at the same moment.
 */
static void
plan_rescue(struct master *m, const PGresult *res)
{
	int64_t left;

	m->queue.rescue_at = 0;
	if (PQgetisnull(res, 0, 1))
		return;
	left = strtoll(PQgetvalue(res, 0, 1), NULL, 10);
	if (left < m->conf->lease_ms / 3)
		m->queue.rescue_at = clock_ms() + (left > 0 ? left : 0) + RESCUE_AFTER_MS + arc4random_uniform(RESCUE_SPREAD_MS);
}

static void
registered(void *arg, enum db_status status, PGresult *res)
{
	struct master *m = arg;
	struct queue *q = &m->queue;

	if (status == DB_ERROR) {
		queue_log_error(m, "registering this node", res);
		q->link = LINK_SCHEMA;
		q->schema_at = clock_ms() + SCHEMA_RETRY_MS;
	}
	if (status != DB_OK || q->link != LINK_NODE)
		return;
	q->error_logged = false;
	q->node = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
	log_info("node %" PRId64 " \"%s\" registered", q->node, q->node_name);
	lease_granted(m);
	plan_rescue(m, res);
	set_ready(m);
}

static void
register_node(struct master *m)
{
	char pid[16], lease[24];
	const char *params[] = { m->queue.node_name, pid, FERRY_VERSION, lease };

	m->queue.link = LINK_NODE;
	lease_asked(m);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	snprintf(lease, sizeof(lease), "%" PRId64, m->conf->lease_ms);
	db_submit(m->db, &stmt_register, params, DB_ONCE, registered, m);
}

/* Others have our tasks by now.  Workers learn it at their next write at the latest; this is sooner. */
static void
lapsed(struct master *m)
{
	struct slot *slot;

	log_warn("the lease of node %" PRId64 " has lapsed: its tasks are with other nodes", m->queue.node);
	lease_lapsed(m);
	POOL_FOREACH (slot, m) {
		dispatch_cancel(slot);
		prefetch_lapsed(slot);
	}
	stock_release(m);
	m->queue.node = 0;
	register_node(m);
}

static void
renewed(void *arg, enum db_status status, PGresult *res)
{
	struct master *m = arg;
	struct queue *q = &m->queue;

	q->renewing = false;
	if (status == DB_ERROR)
		queue_log_error(m, "renewing the lease", res);
	if (status != DB_OK) {
		if (q->link == LINK_NODE && status == DB_ERROR)
			q->schema_at = clock_ms() + SCHEMA_RETRY_MS;
		return;
	}
	if (q->node == 0 || q->link < LINK_NODE)
		return;
	q->error_logged = false;
	if (PQntuples(res) == 0) {
		lapsed(m);
		return;
	}
	lease_granted(m);
	plan_rescue(m, res);
	if (q->link == LINK_NODE)
		set_ready(m);
}

static void
renew(struct master *m)
{
	char node[24], lease[24], *workers = describe_workers(m);
	const char *params[] = { node, lease, workers };

	m->queue.renewing = true;
	lease_asked(m);
	snprintf(node, sizeof(node), "%" PRId64, m->queue.node);
	snprintf(lease, sizeof(lease), "%" PRId64, m->conf->lease_ms);
	db_submit(m->db, &stmt_renew, params, DB_ONCE, renewed, m);
	free(workers);
}

static bool
is_passing(enum db_error error)
{
	return error == DB_ERR_RETRY || error == DB_ERR_CONNECTION || error == DB_ERR_RESOURCES;
}

static void
schema_known(void *arg, enum db_status status, PGresult *res)
{
	struct master *m = arg;
	struct queue *q = &m->queue;
	const char *verdict;
	char why[512];

	if (status == DB_LOST || q->link != LINK_SCHEMA)
		return;
	verdict = db_schema_verdict(status, res, why, sizeof(why));
	if (verdict == NULL) {
		if (q->schema_bad)
			log_info("the database's schema fits now");
		q->schema_bad = false;
		if (q->node == 0)
			register_node(m);
		else {
			q->link = LINK_NODE;
			renew(m);
		}
		return;
	}
	if (m->phase == PHASE_STARTING && !(status == DB_ERROR && is_passing(db_error_class(res)))) {
		life_fail(m, EX_CONFIG, "%s", verdict);
		return;
	}
	if (!q->schema_bad)
		log_error("%s", verdict);
	q->schema_bad = true;
	q->schema_at = clock_ms() + SCHEMA_RETRY_MS;
}

static void
ask_schema(struct master *m)
{
	m->queue.schema_at = 0;
	m->queue.link = LINK_SCHEMA;
	db_submit(m->db, &db_stmt_schema_version, NULL, DB_ONCE, schema_known, m);
}

void
queue_set_planner(struct db *db)
{
	db_submit(db, &stmt_walk_indexes, NULL, DB_ONCE, NULL, NULL);
}

static void
on_up(void *arg)
{
	struct master *m = arg;

	queue_set_planner(m->db);
	db_submit(m->db, &stmt_listen_task, NULL, DB_ONCE, NULL, NULL);
	db_submit(m->db, &stmt_listen_cancel, NULL, DB_ONCE, NULL, NULL);
	db_submit(m->db, &stmt_listen_limit, NULL, DB_ONCE, NULL, NULL);
	db_submit(m->db, &stmt_listen_reap, NULL, DB_ONCE, NULL, NULL);
	ask_schema(m);
}

static void
on_down(void *arg, const char *why)
{
	struct master *m = arg;

	(void)why;
	second_close(m);
	m->queue.link = LINK_DOWN;
	m->queue.schema_at = 0;
	quota_forget(m);
	life_started(m);
}

static void
on_notify(void *arg, const char *channel, const char *payload)
{
	(void)payload;
	if (strcmp(channel, "ferry_cancel") == 0) {
		claim_check(arg);
		return;
	}
	if (strcmp(channel, "ferry_reap") == 0) {
		abandoned_now(arg);
		return;
	}
	if (strcmp(channel, "ferry_limit") == 0)
		quota_changed(arg);
	claim_wake(arg);
}

void
queue_open(struct master *m)
{
	struct db_events events = { .up = on_up, .down = on_down, .notify = on_notify, .arg = m };

	TAILQ_INIT(&m->deaths);
	results_init(m);
	stock_init(m);
	set_node_name(m);
	m->db = db_new(m->conf->worker.database, "ferryd", &events);
	db_run(m->db);
}

void
queue_run(struct master *m)
{
	struct queue *q = &m->queue;
	int64_t now = clock_ms();

	if (q->schema_at != 0 && q->schema_at <= now && db_is_up(m->db))
		ask_schema(m);
	if (q->link != LINK_READY || m->phase >= PHASE_LEAVING)
		return;
	if (q->rescue_at != 0 && q->rescue_at <= now) {
		q->rescue_at = 0;
		recover_rescue(m);
	}
	if (q->renew_at > now)
		return;
	q->renew_at = now + m->conf->lease_ms / 3;
	if (!q->renewing)
		renew(m);
	recover_rescue(m);
	recover_reconcile(m);
}

int64_t
queue_deadline(const struct master *m)
{
	const struct queue *q = &m->queue;

	if (m->phase >= PHASE_LEAVING)
		return 0;
	return clock_earlier(db_is_up(m->db) ? q->schema_at : 0,
	    q->link == LINK_READY ? clock_earlier(q->renew_at, q->rescue_at) : 0);
}

void
queue_close(struct master *m)
{
	second_close(m);
	db_free(m->db);
	m->db = NULL;
}
