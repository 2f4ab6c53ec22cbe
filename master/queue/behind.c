#include "master/queue/behind.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/db/params.h"
#include "master/queue/held.h"

#define SOON_MS 100
#define AGAIN_MS 1000 /* while tasks wait for others */
#define DESTINATIONS_MAX 200 /* of one statement */

/*
 * Frees tasks whose forerunners are gone: of the next $2 destinations behind $1 that tasks wait
 * for. If none wait, it is a look into an empty index.
 */
static const struct db_stmt stmt_free = {
	.name = "free_behind",
	.nparams = 2,
	.sql = "SELECT last, freed FROM ferry.free_behind($1::bigint, $2::integer)",
};
enum { LAST, FREED };

/*
 * Deletes the cancelled claims of node $1 that it does not hold any more, and those of nodes that
 * are gone.  $2 has all claims that the node holds.
 */
static const struct db_stmt stmt_let_go = {
	.name = "let_go",
	.nparams = 2,
	.sql = "WITH gone AS ("
	       "DELETE FROM ferry.lingering "
	       "WHERE node = $1::bigint AND claim <> ALL ($2::bigint[]) "
	       "OR NOT EXISTS (SELECT FROM ferry.node n WHERE n.id = node)) "
	       "SELECT EXISTS ("
	       "SELECT FROM ferry.lingering "
	       "WHERE node = $1::bigint AND claim = ANY ($2::bigint[]))",
};
enum { IS_LEFT };

#define FIRST "-9223372036854775808"

void
behind_look_soon(struct queue *q)
{
	q->behind.at = clock_earlier(q->behind.at, clock_ms() + SOON_MS);
}

void
behind_let_go(struct queue *q)
{
	q->behind.let_go_at = clock_ms();
}

static void
freed(void *arg, enum db_status status, PGresult *res)
{
	struct queue *q = arg;
	struct behind *b = &q->behind;
	bool ended;

	b->asking = false;
	refusals_note(&q->node->refusals, WORK_FREE, status, res);
	b->at = clock_ms() + q->state->conf->poll_ms;
	if (status != DB_OK)
		return;
	ended = PQgetisnull(res, 0, LAST);
	if (!ended || b->from[0] != '\0')
		b->at = clock_earlier(b->at, clock_ms() + AGAIN_MS);
	strlcpy(b->from, ended ? "" : PQgetvalue(res, 0, LAST), sizeof(b->from));
}

static void
free_tasks(struct queue *q)
{
	struct behind *b = &q->behind;
	struct params p = { .n = 0 };

	b->asking = true;
	params_text(&p, b->from[0] != '\0' ? b->from : FIRST);
	params_int(&p, DESTINATIONS_MAX);
	db_submit(q->node->db, &stmt_free, p.values, DB_ONCE, freed, q);
	b->let_go_at = clock_earlier(b->let_go_at, clock_ms());
}

static void
let_go_answered(void *arg, enum db_status status, PGresult *res)
{
	struct queue *q = arg;

	q->behind.letting_go = false;
	refusals_note(&q->node->refusals, WORK_LET_GO, status, res);
	if (status == DB_OK && PQgetvalue(res, 0, IS_LEFT)[0] == 't')
		q->behind.let_go_at = clock_earlier(q->behind.let_go_at, clock_ms() + SOON_MS);
}

/* A next task that its worker was told to drop counts: the worker may have begun it. */
static void
append(void *arg, const struct held *held)
{
	sqlarray_add_int(arg, held->claim);
}

static void
let_go(struct queue *q)
{
	struct params p = { .n = 0 };
	struct sqlarray claims;

	sqlarray_init(&claims);
	held_walk(q, append, &claims);
	params_int(&p, node_id(q->node));
	params_text(&p, sqlarray_finish(&claims));
	q->behind.letting_go = true;
	q->behind.let_go_at = 0;
	db_submit(q->node->db, &stmt_let_go, p.values, DB_ONCE, let_go_answered, q);
	sqlarray_release(&claims);
}

static bool
is_due(int64_t at)
{
	return at != 0 && at <= clock_ms();
}

void
behind_run(struct queue *q)
{
	struct behind *b = &q->behind;

	if (!link_is_ready(q->node))
		return;
	if (b->at == 0)
		b->at = clock_ms() + SOON_MS;
	if (!b->asking && is_due(b->at))
		free_tasks(q);
	/* a claim whose answer is under way is not in the list of what we hold */
	if (!b->letting_go && is_due(b->let_go_at) && q->claim.asked.kind == CLAIM_NONE)
		let_go(q);
}

int64_t
behind_deadline(const struct queue *q)
{
	const struct behind *b = &q->behind;
	int64_t at = 0;

	if (!link_is_ready(q->node))
		return 0;
	if (!b->asking)
		at = clock_earlier(at, b->at);
	if (!b->letting_go && q->claim.asked.kind == CLAIM_NONE)
		at = clock_earlier(at, b->let_go_at);
	return at;
}
