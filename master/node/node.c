#include "master/node/node.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/db/params.h"
#include "master/node/unique.h"
#include "master/node/waiting.h"

#define DEFAULT_PIDFILE "/run/ferryd/ferryd.pid"
#define RESCUE_AFTER_MS 10 /* the end of a lease */
#define RESCUE_SPREAD_MS 200

/* The columns of both statements' answers, and those of the first statement alone. */
enum {
	ROW_ID,
	ROW_NEXT_LAPSE,
	ROW_LAST_TASK,
	ROW_CLOCK,
	ROW_OTHERS,
	ROW_PREVIOUS_PID,
	ROW_PREVIOUS_AGE,
};

#define LAST_TASK "(SELECT s.last_value FROM ferry.task_id_seq s)"
#define CLOCK "extract(epoch FROM clock_timestamp())::bigint"
#define OTHERS(own) "(SELECT count(*) FROM ferry.node o WHERE o.id <> " own ")"

/* Of the last node of the same name whose lease has lapsed, and that nobody has removed yet. */
#define PREVIOUS(column)                                                             \
	"(SELECT " column " FROM ferry.node o "                                      \
	"WHERE o.name = n.name AND o.id <> n.id AND o.renewed_at + o.lease < now() " \
	"ORDER BY o.renewed_at DESC "                                                \
	"LIMIT 1)"

#define STUCK_SHARE 6 /* a renewal that takes longer than this part of the lease is stuck */

/*
 * Milliseconds until the first lease of another node lapses.  A lease holds at least from the start
 * of the server on, and from that of our own connection, which is age milliseconds old: see rescue.
 */
#define NEXT_LAPSE(own, age)                                                                       \
	"(SELECT ceil(extract(epoch FROM min(greatest(o.renewed_at, pg_postmaster_start_time(), "  \
	"now() - " age "::bigint * interval '1 millisecond') + o.lease) - now()) * 1000)::bigint " \
	"FROM ferry.node o "                                                                       \
	"WHERE o.id <> " own ")"

static const struct db_stmt stmt_register = {
	.name = "register",
	.nparams = 6,
	.sql = "INSERT INTO ferry.node AS n (id, name, pid, version, lease) "
	       "VALUES ($1::bigint, $2, $3::integer, $4, $5::bigint * interval '1 millisecond') "
	       "RETURNING id, " NEXT_LAPSE(
		   "n.id", "$6") ", " LAST_TASK ", " CLOCK
				 ", " OTHERS("n.id") ", " PREVIOUS("o.pid") ", " PREVIOUS(
				     "extract(epoch FROM now() - o.renewed_at)::bigint"),
};

/* Only this process has drawn the id.  A row that names another process is not ours all the same.
 */
static const struct db_stmt stmt_renew = {
	.name = "renew",
	.nparams = 6,
	.sql = "UPDATE ferry.node "
	       "SET renewed_at = now(), lease = $2::bigint * interval '1 millisecond', "
	       "workers = $3::jsonb "
	       "WHERE id = $1::bigint AND name = $4 AND pid = $5::integer "
	       "RETURNING id, " NEXT_LAPSE("$1::bigint", "$6") ", " LAST_TASK ", " CLOCK
							       ", " OTHERS("$1::bigint"),
};

int64_t
node_id(const struct node *n)
{
	return n->pool->lease.node;
}

/* Host and pid file tell the nodes of one machine apart. */
static void
set_name(struct node *n)
{
	const char *pidfile = n->state->conf->pidfile;
	char host[256] = "localhost";

	gethostname(host, sizeof(host) - 1);
	if (strcmp(pidfile, DEFAULT_PIDFILE) == 0)
		strlcpy(n->name, host, sizeof(n->name));
	else
		snprintf(n->name, sizeof(n->name), "%s %s", host, pidfile);
}

/* The column workers shows a worker that reaps as busy, and one without tasks for want of a
 * database. */
static const char *
shown_state(const struct pool *p, const struct slot *slot)
{
	if (slot->state == SLOT_IDLE && slot_is_cut_off(p, slot))
		return "cut off";
	return slot_state_name(slot->state == SLOT_REAPING ? SLOT_BUSY : slot->state);
}

static char *
describe_workers(const struct pool *p)
{
	const struct slot *slot;
	const char *comma = "";
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (out == NULL)
		memory_exhausted(len);
	putc('[', out);
	POOL_FOREACH (slot, p) {
		if (!slot_is_live(slot))
			continue;
		fprintf(out, "%s{\"slot\":%d,\"pid\":%d,\"state\":\"%s\"}", comma, slot->number,
		    (int)slot->pid, shown_state(p, slot));
		comma = ",";
	}
	putc(']', out);
	if (fclose(out) != 0)
		memory_exhausted(len);
	return text;
}

/* Our row is there: from now on tasks may be claimed. */
static void
set_ready(struct node *n)
{
	n->state->agenda.renew_at = clock_ms() + n->state->conf->lease_ms / 3;
	link_set_ready(n);
}

/*
 * A live node renews long before its lease ends.  If a lease will end before our next renewal, look
 * then, so that the rescue follows at once however long the lease is.  The nodes look with some
 * jitter between them.
 */
static void
plan_rescue(struct node *n, const PGresult *res)
{
	int64_t left;

	n->others = (int)strtol(PQgetvalue(res, 0, ROW_OTHERS), NULL, 10);
	n->rescue_at = 0;
	if (PQgetisnull(res, 0, ROW_NEXT_LAPSE))
		return;
	left = strtoll(PQgetvalue(res, 0, ROW_NEXT_LAPSE), NULL, 10);
	if (left < n->state->conf->lease_ms / 3)
		n->rescue_at = clock_ms() + (left > 0 ? left : 0) + RESCUE_AFTER_MS +
			       arc4random_uniform(RESCUE_SPREAD_MS);
}

/*
 * The sequence gives larger and larger ids.  If its last one is smaller than before, the database
 * was restored or lost its last transactions, or somebody has set the sequence.
 */
static void
note_last_task(struct node *n, const PGresult *res)
{
	int64_t last = strtoll(PQgetvalue(res, 0, ROW_LAST_TASK), NULL, 10);

	if (last < n->ids_reached)
		log_warn("this database is an older copy, or its sequence ferry.task_id_seq was "
			 "set back: the last task has the id %" PRId64 ", it was %" PRId64
			 "; see RESTORED DATABASES in ferry(7)",
		    last, n->ids_reached);
	n->ids_reached = last;
}

static void
note_clock(struct node *n, const PGresult *res)
{
	int64_t theirs = strtoll(PQgetvalue(res, 0, ROW_CLOCK), NULL, 10);

	clocks_note(&n->clocks, CLOCKS_DATABASE, theirs - clock_wall(), clocks_epoch());
}

static void
name_previous(struct node *n, const PGresult *res)
{
	int pid = (int)strtol(PQgetvalue(res, 0, ROW_PREVIOUS_PID), NULL, 10);

	if (!n->registered && pid != 0 && pid != n->previous_pid)
		log_warn("the previous ferryd (pid %d) did not leave: it renewed its lease %s s "
			 "ago for the last time",
		    pid, PQgetvalue(res, 0, ROW_PREVIOUS_AGE));
	n->registered = true;
}

static void
registered(void *arg, enum db_status status, PGresult *res)
{
	struct node *n = arg;
	int64_t id;

	if (status == DB_ERROR) {
		refusals_add(&n->refusals, WORK_REGISTER, res);
		link_retry(n, res);
	}
	if (status != DB_OK || n->link != LINK_ROW)
		return;
	refusals_relieve(&n->refusals, WORK_REGISTER);
	id = strtoll(PQgetvalue(res, 0, ROW_ID), NULL, 10);
	log_info("node \"%s\" registered, id %" PRId64, n->name, id);
	name_previous(n, res);
	note_last_task(n, res);
	note_clock(n, res);
	lease_granted(n->pool, id, &n->ask);
	plan_rescue(n, res);
	set_ready(n);
}

static void
register_node(struct node *n)
{
	struct params p = { .n = 0 };

	n->link = LINK_ROW;
	n->ask = lease_ask(n->pool);
	params_int(&p, unique_draw());
	params_text(&p, n->name);
	params_int(&p, getpid());
	params_text(&p, FERRY_VERSION);
	params_int(&p, n->ask.length);
	params_int(&p, db_age(n->db));
	db_submit(n->db, &stmt_register, p.values, DB_ONCE, registered, n);
}

/*
 * Other nodes have our tasks by now.  Workers notice the end of the lease at their next write at
 * the latest.  We tell them sooner.
 */
static void
lapsed(struct node *n)
{
	log_warn(
	    "node \"%s\" has lost its row, so its lease has lapsed: its tasks are with other nodes",
	    n->name);
	lease_lapsed(n->pool);
	n->events.lapsed(n->events.arg);
	register_node(n);
}

static void
renewed(void *arg, enum db_status status, PGresult *res)
{
	struct node *n = arg;

	n->renewing = false;
	if (status == DB_ERROR) {
		refusals_add(&n->refusals, WORK_RENEW, res);
		if (n->link == LINK_ROW)
			link_ask_later(n);
	}
	if (status != DB_OK || node_id(n) == 0 || n->link < LINK_ROW)
		return;
	refusals_relieve(&n->refusals, WORK_RENEW);
	if (PQntuples(res) == 0) {
		lapsed(n);
		return;
	}
	lease_granted(n->pool, node_id(n), &n->ask);
	note_last_task(n, res);
	note_clock(n, res);
	plan_rescue(n, res);
	if (n->link == LINK_ROW)
		set_ready(n);
}

static void
submit_renewal(struct node *n, struct db *db, const struct lease_ask *ask, db_callback *cb)
{
	char *workers = describe_workers(n->pool);
	struct params p = { .n = 0 };

	params_int(&p, node_id(n));
	params_int(&p, ask->length);
	params_text(&p, workers);
	params_text(&p, n->name);
	params_int(&p, getpid());
	params_int(&p, db_age(n->db));
	db_submit(db, &stmt_renew, p.values, DB_ONCE, cb, n);
	free(workers);
}

static void
renew(struct node *n)
{
	n->renewing = true;
	n->asked_at = clock_ms();
	n->ask = lease_ask(n->pool);
	submit_renewal(n, n->db, &n->ask, renewed);
}

/* If our row is gone, the first connection tells what follows. */
static void
renewed_aside(void *arg, enum db_status status, PGresult *res)
{
	struct node *n = arg;

	n->aside.renewing = false;
	if (status == DB_OK && PQntuples(res) == 1 && node_id(n) != 0)
		lease_granted(n->pool, node_id(n), &n->aside.ask);
}

/* When the renewal over the first connection counts as stuck; 0: there is none. */
static int64_t
stuck_at(const struct node *n)
{
	return n->renewing && node_id(n) != 0 ? n->asked_at + n->state->conf->lease_ms / STUCK_SHARE
					      : 0;
}

/* Renews the lease over a connection of its own while the first one is stuck. */
static void
run_aside(struct node *n, int64_t now)
{
	int64_t stuck = stuck_at(n);

	if (stuck == 0 || stuck > now) {
		if (n->aside.db != NULL)
			aside_close(n);
		return;
	}
	if (n->aside.db == NULL)
		aside_open(n);
	if (n->aside.renewing || !db_is_up(n->aside.db) || n->aside.renew_at > now)
		return;
	n->aside.renewing = true;
	n->aside.renew_at = now + n->state->conf->lease_ms / 3;
	n->aside.ask = lease_ask(n->pool);
	submit_renewal(n, n->aside.db, &n->aside.ask, renewed_aside);
}

void
node_enter(struct node *n)
{
	if (node_id(n) == 0)
		register_node(n);
	else
		renew(n);
}

void
node_open(struct node *n, const struct link_events *events)
{
	set_name(n);
	link_open(n, events);
}

void
node_run(struct node *n)
{
	struct agenda *a = &n->state->agenda;
	int64_t now = clock_ms();

	refused_run(&n->refusals);
	link_run(n);
	waiting_run(n);
	run_aside(n, now);
	if (n->link != LINK_READY || n->state->phase >= PHASE_LEAVING)
		return;
	if (n->rescue_at != 0 && n->rescue_at <= now) {
		n->rescue_at = 0;
		a->rescue = true;
	}
	if (a->renew_at > now)
		return;
	a->renew_at = now + n->state->conf->lease_ms / 3;
	if (!n->renewing)
		renew(n);
	a->rescue = a->reconcile = true;
}

int64_t
node_deadline(const struct node *n)
{
	int64_t at = refused_deadline(&n->refusals);

	at = clock_earlier(at, pooler_deadline(n));
	at = clock_earlier(at, n->aside.db == NULL ? stuck_at(n) : aside_deadline(n));
	if (n->state->phase >= PHASE_LEAVING)
		return at;
	at = clock_earlier(at, clock_earlier(link_deadline(n), waiting_deadline(n)));
	if (n->link == LINK_READY)
		at = clock_earlier(at, clock_earlier(n->state->agenda.renew_at, n->rescue_at));
	return at;
}

void
node_close(struct node *n)
{
	pooler_close(n);
	aside_close(n);
	second_close(n);
	link_close(n);
}
