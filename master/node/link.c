#include "master/node/link.h"

#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "master/node/node.h"

#define SCHEMA_RETRY_MS 5000

static const struct db_stmt stmt_listen_task = { "listen_task", "LISTEN ferry_task", 0 };
static const struct db_stmt stmt_listen_cancel = { "listen_cancel", "LISTEN ferry_cancel", 0 };
static const struct db_stmt stmt_listen_limit = { "listen_limit", "LISTEN ferry_limit", 0 };
static const struct db_stmt stmt_listen_reap = { "listen_reap", "LISTEN ferry_reap", 0 };

/*
 * A claim walks the index of ready tasks in its order and stops after a few rows.  Statistics of a
 * queue are out of date as soon as they are made.  A planner that believes the queue to be empty
 * would collect and sort all of it.  Methods that are switched off count as so expensive that the
 * server would compile the statement, which takes longer than running it: so jit is off, too.
 */
static const struct db_stmt stmt_walk_indexes = {
	.name = "walk_indexes",
	.nparams = 0,
	.sql = "SELECT set_config(name, 'off', false) "
	       "FROM unnest(ARRAY['enable_sort', 'enable_bitmapscan', 'enable_seqscan', 'jit']) "
	       "name",
};

bool
link_is_ready(const struct node *n)
{
	return n->link == LINK_READY;
}

void
link_set_ready(struct node *n)
{
	n->link = LINK_READY;
	n->refused[0] = '\0';
	n->events.ready(n->events.arg);
}

void
link_ask_later(struct node *n)
{
	n->schema_at = clock_ms() + SCHEMA_RETRY_MS;
}

/* Whether the same question may have another answer soon. */
static bool
is_passing(enum db_error error)
{
	return error == DB_ERR_RETRY || error == DB_ERR_CONNECTION || error == DB_ERR_RESOURCES;
}

void
link_retry(struct node *n, const PGresult *res)
{
	enum db_error error = db_error_class(res);
	bool lacks = error == DB_ERR_ACCESS || error == DB_ERR_SCHEMA;
	char why[512];

	db_error_message(res, why, sizeof(why));
	snprintf(n->refused, sizeof(n->refused), "it refuses to register this node: %s%s", why,
	    error == DB_ERR_ACCESS   ? "; GRANT ferry_daemon TO this role"
	    : error == DB_ERR_SCHEMA ? "; run \"ferryctl migrate\""
				     : "");
	if (n->state->phase == PHASE_STARTING && lacks) {
		n->events.refused(n->events.arg, n->refused);
		return;
	}
	n->link = LINK_SCHEMA;
	link_ask_later(n);
	n->events.waits(n->events.arg);
}

/*
 * What is wrong with a database that had a newer schema before.  Returns NULL if it had not, or if
 * its schema cannot be read.
 */
static const char *
older_copy(struct node *n, enum db_status status, const PGresult *res, char *why, size_t size)
{
	int before = n->schema_version, now = db_schema_version(res);
	bool missing = status == DB_ERROR && db_error_class(res) == DB_ERR_SCHEMA;

	if (missing && before > 0)
		snprintf(why, size,
		    "this database is another one, or an older copy: it has no ferry schema, it "
		    "had version %d",
		    before);
	else if (status == DB_OK && now < before)
		snprintf(
		    why, size, "this database is an older copy: schema %d, it was %d", now, before);
	else
		return NULL;
	return why;
}

/* Logs what is wrong with the schema, unless the log has said it. */
static void
say_schema(struct node *n, const char *verdict)
{
	if (strcmp(n->schema_said, verdict) != 0)
		log_error("%s", verdict);
	strlcpy(n->schema_said, verdict, sizeof(n->schema_said));
}

static void
schema_fits(struct node *n, int version, const char *older)
{
	if (older != NULL)
		log_warn("%s", older);
	else if (n->schema_said[0] != '\0')
		log_info("the database's schema fits now");
	n->schema_said[0] = n->refused[0] = '\0';
	n->schema_version = version;
	n->link = LINK_ROW;
	n->events.fits(n->events.arg);
}

static void
schema_known(void *arg, enum db_status status, PGresult *res)
{
	struct node *n = arg;
	const char *verdict, *older;
	char why[512], why_older[128];

	if (status == DB_LOST || n->link != LINK_SCHEMA)
		return;
	verdict = db_schema_verdict(status, res, why, sizeof(why));
	older = older_copy(n, status, res, why_older, sizeof(why_older));
	if (verdict == NULL) {
		schema_fits(n, db_schema_version(res), older);
		return;
	}
	if (status == DB_OK && db_schema_version(res) > n->schema_version)
		n->schema_version = db_schema_version(res);
	if (n->state->phase == PHASE_STARTING &&
	    !(status == DB_ERROR && is_passing(db_error_class(res)))) {
		n->events.refused(n->events.arg, verdict);
		return;
	}
	say_schema(n, older != NULL ? older : verdict);
	strlcpy(n->refused, older != NULL ? older : verdict, sizeof(n->refused));
	link_ask_later(n);
	n->events.waits(n->events.arg);
}

static void
ask_schema(struct node *n)
{
	n->schema_at = 0;
	n->link = LINK_SCHEMA;
	db_submit(n->db, &db_stmt_schema_version, NULL, DB_ONCE, schema_known, n);
}

void
link_set_planner(struct db *db)
{
	db_submit(db, &stmt_walk_indexes, NULL, DB_ONCE, NULL, NULL);
}

static void
listen_and_ask(struct node *n)
{
	db_submit(n->db, &stmt_listen_task, NULL, DB_ONCE, NULL, NULL);
	db_submit(n->db, &stmt_listen_cancel, NULL, DB_ONCE, NULL, NULL);
	db_submit(n->db, &stmt_listen_limit, NULL, DB_ONCE, NULL, NULL);
	db_submit(n->db, &stmt_listen_reap, NULL, DB_ONCE, NULL, NULL);
	ask_schema(n);
}

/* LISTEN would disturb the others that a pooler gives this connection to. */
static void
begin(struct node *n)
{
	n->schema_at = 0;
	n->link = LINK_SCHEMA;
	if (db_is_pooled(n->db))
		pooler_ask(n);
	else
		listen_and_ask(n);
}

static void
pooler_shares(struct node *n)
{
	if (n->state->phase == PHASE_STARTING) {
		n->events.refused(n->events.arg, db_shared_why);
		return;
	}
	say_schema(n, db_shared_why);
	strlcpy(n->refused, db_shared_why, sizeof(n->refused));
	link_ask_later(n);
	n->events.waits(n->events.arg);
}

static void
on_up(void *arg)
{
	struct node *n = arg;

	link_set_planner(n->db);
	begin(n);
}

static void
on_down(void *arg, const char *why)
{
	struct node *n = arg;

	(void)why; /* the handle has logged it */
	pooler_close(n);
	n->link = LINK_DOWN;
	n->schema_at = 0;
	n->refused[0] = '\0';
	n->events.down(n->events.arg);
}

static void
on_notify(void *arg, const char *channel, const char *payload)
{
	struct node *n = arg;

	n->events.notify(n->events.arg, channel, payload);
}

void
link_open(struct node *n, const struct link_events *events)
{
	struct db_events handlers = { .up = on_up, .down = on_down, .notify = on_notify, .arg = n };

	n->events = *events;
	n->db = db_new(n->state->conf->worker.database, "ferryd", &handlers);
	db_run(n->db);
}

void
link_run(struct node *n)
{
	switch (pooler_take(n)) {
	case BACKENDS_SHARED:
		pooler_shares(n);
		break;
	case BACKENDS_KEPT:
		listen_and_ask(n);
		break;
	case BACKENDS_ASKED:
		break;
	}
	if (n->schema_at == 0 || n->schema_at > clock_ms() || !db_is_up(n->db))
		return;
	if (db_is_pooled(n->db))
		begin(n);
	else
		ask_schema(n);
}

int64_t
link_deadline(const struct node *n)
{
	return db_is_up(n->db) ? n->schema_at : 0;
}

void
link_close(struct node *n)
{
	db_free(n->db);
	n->db = NULL;
}
