#include "master/node/pooler.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "master/node/node.h"

#define ASK_MS 4000

static const struct db_stmt stmt_backend = {
	.name = "backend",
	.nparams = 0,
	.sql = backends_sql,
};
enum { BACKEND };

static void ask_next(struct node *n);

static void
answered(void *arg, enum db_status status, PGresult *res)
{
	struct node *n = arg;
	struct pooler *p = &n->pooler;

	if (p->db == NULL || p->backends.verdict != BACKENDS_ASKED)
		return;
	if (status == DB_OK)
		backends_note(&p->backends, strtol(PQgetvalue(res, 0, BACKEND), NULL, 10));
	else
		p->backends.verdict = BACKENDS_KEPT; /* not proven */
	ask_next(n);
}

static void
ask_next(struct node *n)
{
	struct pooler *p = &n->pooler;
	struct db *db;

	if (p->backends.verdict != BACKENDS_ASKED)
		return;
	db = backends_turn(&p->backends) == 0 ? n->db : p->db;
	db_submit(db, &stmt_backend, NULL, DB_ONCE, answered, n);
}

static void
on_up(void *arg)
{
	ask_next(arg);
}

/* The handle calls this, so it must not be freed here. */
static void
on_down(void *arg, const char *why)
{
	struct node *n = arg;
	struct db_outage outage;

	(void)why;
	if (db_outage(n->pooler.db, &outage) && outage.shared)
		n->pooler.backends.verdict = BACKENDS_SHARED;
	else
		n->pooler.backends.verdict = BACKENDS_KEPT; /* not proven */
}

void
pooler_ask(struct node *n)
{
	struct db_events events = { .up = on_up, .down = on_down, .quiet = true, .arg = n };

	pooler_close(n);
	n->pooler = (struct pooler){
		.db = db_new(n->state->conf->worker.database, "ferryd pooler", &events),
		.until = clock_ms() + ASK_MS,
	};
}

enum backends_verdict
pooler_take(struct node *n)
{
	enum backends_verdict verdict = n->pooler.backends.verdict;

	if (n->pooler.db == NULL)
		return BACKENDS_ASKED;
	if (verdict == BACKENDS_ASKED && n->pooler.until <= clock_ms())
		verdict = BACKENDS_KEPT; /* not proven */
	if (verdict != BACKENDS_ASKED)
		pooler_close(n);
	return verdict;
}

void
pooler_close(struct node *n)
{
	db_free(n->pooler.db);
	n->pooler.db = NULL;
}

int
pooler_fd(const struct node *n)
{
	return n->pooler.db != NULL ? db_fd(n->pooler.db) : -1;
}

short
pooler_poll_events(const struct node *n)
{
	return n->pooler.db != NULL ? db_poll_events(n->pooler.db) : 0;
}

bool
pooler_receive(struct node *n)
{
	return n->pooler.db != NULL && db_run(n->pooler.db);
}

int64_t
pooler_deadline(const struct node *n)
{
	if (n->pooler.db == NULL)
		return 0;
	if (n->pooler.backends.verdict != BACKENDS_ASKED)
		return clock_ms();
	return clock_earlier(db_deadline(n->pooler.db), n->pooler.until);
}
