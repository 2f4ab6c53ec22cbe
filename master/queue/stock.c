#include "master/queue/stock.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/db/params.h"
#include "master/limits/quota.h"
#include "master/limits/throttle.h"
#include "master/node/sqlarray.h"

/* The tasks that end in a window are as many as are needed until the next claim is answered. */
#define WINDOW_MS 100

struct stocked {
	TAILQ_ENTRY(stocked) entry;
	int64_t since;
	struct task *task;
};

/* life of a row: running -> queued */
static const struct db_stmt stmt_release = {
	.name = "release_claims",
	.nparams = 2,
	.sql = "UPDATE ferry.task t "
	       "SET state = 'queued', node = NULL, worker = NULL "
	       "FROM unnest($1::bigint[], $2::bigint[]) AS h(id, claim) "
	       "WHERE t.id = h.id AND t.claim = h.claim AND t.state = 'running' "
	       "RETURNING pg_notify('ferry_task', '')",
};

void
stock_init(struct queue *q)
{
	TAILQ_INIT(&q->stock.held);
}

static void
turn_window(struct stock *s, int64_t now)
{
	if (now - s->window_at < WINDOW_MS)
		return;
	s->ended_before = now - s->window_at < 2 * WINDOW_MS ? s->ended : 0;
	s->ended = 0;
	s->window_at = now;
}

void
stock_note_end(struct queue *q)
{
	turn_window(&q->stock, clock_ms());
	q->stock.ended++;
}

static bool
may_hold(const struct queue *q)
{
	const char *names[CONFIG_STORES_MAX];

	return q->state->phase == PHASE_RUNNING && !quota_limits_transfers(q->limits) &&
	       throttle_list(q->limits, names) == 0;
}

int
stock_wish(const struct queue *q)
{
	const struct stock *s = &q->stock;
	int64_t age = clock_ms() - s->window_at;
	int depth = 0;

	if (age < 2 * WINDOW_MS)
		depth = s->ended > s->ended_before ? s->ended : s->ended_before;
	if (depth < pool_count_live(q->pool) || !may_hold(q))
		return 0;
	if (depth > STOCK_MAX)
		depth = STOCK_MAX;
	/* no small claims: each costs a commit */
	return s->n <= depth / 2 ? depth - s->n : 0;
}

void
stock_put(struct queue *q, struct task *task)
{
	struct stocked *held = memory_alloc(sizeof(*held));

	held->task = task;
	held->since = clock_ms();
	TAILQ_INSERT_TAIL(&q->stock.held, held, entry);
	q->stock.n++;
}

/* Returns the task. */
static struct task *
take_out(struct stock *s, struct stocked *held)
{
	struct task *task = held->task;

	TAILQ_REMOVE(&s->held, held, entry);
	s->n--;
	free(held);
	return task;
}

struct task *
stock_take(struct queue *q)
{
	struct stocked *first = TAILQ_FIRST(&q->stock.held);

	return first != NULL ? take_out(&q->stock, first) : NULL;
}

void
stock_drop(struct queue *q, int64_t task, int64_t claim)
{
	struct stocked *held, *next;

	TAILQ_FOREACH_SAFE (held, &q->stock.held, entry, next)
		if (held->task->id == task && held->task->claim == claim)
			free(take_out(&q->stock, held));
}

/* Requeues the tasks that have been held since then or longer. */
static void
release_since(struct queue *q, int64_t since)
{
	struct sqlarray ids, claims;
	struct stocked *held;
	struct params p = { .n = 0 };
	struct task *task;

	sqlarray_init(&ids);
	sqlarray_init(&claims);
	while ((held = TAILQ_FIRST(&q->stock.held)) != NULL && held->since <= since) {
		task = take_out(&q->stock, held);
		sqlarray_add_int(&ids, task->id);
		sqlarray_add_int(&claims, task->claim);
		free(task);
	}
	params_text(&p, sqlarray_finish(&ids));
	params_text(&p, sqlarray_finish(&claims));
	if (ids.n > 0) {
		log_debug("%d tasks that were claimed ahead are requeued", ids.n);
		db_submit(q->node->db, &stmt_release, p.values, DB_REPEAT, NULL, NULL);
	}
	sqlarray_release(&claims);
	sqlarray_release(&ids);
}

void
stock_release(struct queue *q)
{
	if (!TAILQ_EMPTY(&q->stock.held))
		release_since(q, INT64_MAX);
}

void
stock_run(struct queue *q)
{
	const struct stocked *first = TAILQ_FIRST(&q->stock.held);
	int64_t now = clock_ms();

	if (first != NULL && !may_hold(q))
		release_since(q, INT64_MAX);
	else if (first != NULL && first->since + STOCK_HOLD_MS <= now)
		release_since(q, now - STOCK_HOLD_MS);
}

int64_t
stock_deadline(const struct queue *q)
{
	const struct stocked *first = TAILQ_FIRST(&q->stock.held);

	return first != NULL ? first->since + STOCK_HOLD_MS : 0;
}

void
stock_walk(const struct queue *q, held_visit *visit, void *arg)
{
	const struct stocked *held;

	TAILQ_FOREACH (held, &q->stock.held, entry)
		visit(
		    arg, &(struct held){ HELD_STOCK, held->task->id, held->task->claim, 0, false });
}

void
stock_discard(struct queue *q)
{
	struct task *task;

	while ((task = stock_take(q)) != NULL)
		free(task);
}
