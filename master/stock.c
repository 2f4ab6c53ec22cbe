/*
 * Owns the tasks that are claimed ahead, and the statement that gives them back.
 */
#include "master/stock.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "master/limits.h"
#include "master/pool.h"
#include "master/quota.h"

#define WINDOW_MS 100 /* tasks that ended in it say how many are needed until the next claim is answered */

struct stocked {
	TAILQ_ENTRY(stocked) entry;
	int64_t since;
	struct task *task;
};

static const struct db_stmt stmt_release = {
	.name = "release_claims",
	.nparams = 2,
	.sql = "UPDATE ferry.task t SET state = 'queued', node = NULL, worker = NULL "
	       "FROM unnest($1::bigint[], $2::bigint[]) AS h(id, claim) WHERE t.id = h.id AND t.claim = h.claim "
	       "AND t.state = 'running' RETURNING pg_notify('ferry_task', '')",
};

void
stock_init(struct master *m)
{
	TAILQ_INIT(&m->stock.held);
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
stock_note_end(struct master *m)
{
	turn_window(&m->stock, clock_ms());
	m->stock.ended++;
}

static bool
may_hold(const struct master *m)
{
	const char *names[CONFIG_STORES_MAX];

	return m->phase == PHASE_RUNNING && !quota_limits_transfers(m) && limits_throttled(m, names) == 0;
}

int
stock_wish(const struct master *m)
{
	const struct stock *s = &m->stock;
	int64_t age = clock_ms() - s->window_at;
	int depth = 0;

	if (age < 2 * WINDOW_MS)
		depth = s->ended > s->ended_before ? s->ended : s->ended_before;
	if (depth < pool_count_live(m) || !may_hold(m))
		return 0;
	if (depth > STOCK_MAX)
		depth = STOCK_MAX;
	/* by halves, so that a claim is worth its commit */
	return s->n <= depth / 2 ? depth - s->n : 0;
}

void
stock_put(struct master *m, struct task *task)
{
	struct stocked *held = malloc(sizeof(*held));

	if (held == NULL)
		fatal(71, "out of memory"); /* EX_OSERR: the lease brings the task back */
	held->task = task;
	held->since = clock_ms();
	TAILQ_INSERT_TAIL(&m->stock.held, held, entry);
	m->stock.n++;
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
stock_take(struct master *m)
{
	struct stocked *first = TAILQ_FIRST(&m->stock.held);

	return first != NULL ? take_out(&m->stock, first) : NULL;
}

void
stock_drop(struct master *m, int64_t task, int64_t claim)
{
	struct stocked *held, *next;

	TAILQ_FOREACH_SAFE (held, &m->stock.held, entry, next)
		if (held->task->id == task && held->task->claim == claim)
			free(take_out(&m->stock, held));
}

/* Gives back those that have been held since then or longer. */
static void
release_since(struct master *m, int64_t since)
{
	struct sqlarray ids, claims;
	struct stocked *held;
	struct task *task;
	const char *params[2];

	sqlarray_init(&ids);
	sqlarray_init(&claims);
	while ((held = TAILQ_FIRST(&m->stock.held)) != NULL && held->since <= since) {
		task = take_out(&m->stock, held);
		sqlarray_add_int(&ids, task->id);
		sqlarray_add_int(&claims, task->claim);
		free(task);
	}
	params[0] = sqlarray_finish(&ids);
	params[1] = sqlarray_finish(&claims);
	if (ids.n > 0) {
		log_debug("%d tasks that were claimed ahead are given back", ids.n);
		db_submit(m->db, &stmt_release, params, DB_REPEAT, NULL, NULL);
	}
	sqlarray_release(&claims);
	sqlarray_release(&ids);
}

void
stock_release(struct master *m)
{
	if (!TAILQ_EMPTY(&m->stock.held))
		release_since(m, INT64_MAX);
}

void
stock_run(struct master *m)
{
	const struct stocked *first = TAILQ_FIRST(&m->stock.held);
	int64_t now = clock_ms();

	if (first != NULL && !may_hold(m))
		release_since(m, INT64_MAX);
	else if (first != NULL && first->since + STOCK_HOLD_MS <= now)
		release_since(m, now - STOCK_HOLD_MS);
}

int64_t
stock_deadline(const struct master *m)
{
	const struct stocked *first = TAILQ_FIRST(&m->stock.held);

	return first != NULL ? first->since + STOCK_HOLD_MS : 0;
}

void
stock_list(const struct master *m, struct sqlarray *ids, struct sqlarray *claims, struct sqlarray *workers)
{
	const struct stocked *held;

	TAILQ_FOREACH (held, &m->stock.held, entry) {
		sqlarray_add_int(ids, held->task->id);
		sqlarray_add_int(claims, held->task->claim);
		if (workers != NULL)
			sqlarray_add_int(workers, 0);
	}
}

void
stock_discard(struct master *m)
{
	struct task *task;

	while ((task = stock_take(m)) != NULL)
		free(task);
}
