/*
 * Owns the shares that queues have had, and the turns of the starving.
 */
#include "master/fair.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "master/claim_row.h"

#define TURNS_MAX 1000 /* where they cannot be taken, they do not come together for ever */

static int
weight_of(const struct master *m, int i)
{
	const struct quota *q;

	for (q = m->quotas.list; q < m->quotas.list + m->quotas.n; q++)
		if (q->is_queue && q->weight > 0 && strcmp(q->name, m->conf->queues[i]) == 0)
			return q->weight;
	return 1;
}

static bool
has_weights(const struct master *m)
{
	const struct quota *q;

	for (q = m->quotas.list; q < m->quotas.list + m->quotas.n; q++)
		if (q->is_queue && q->weight > 0)
			return true;
	return false;
}

/* A new configuration may have other queues: then all begin alike. */
static void
match_queues(struct master *m)
{
	struct fair *f = &m->fair;

	if (f->n == m->conf->nqueues && memcmp(f->queues, m->conf->queues, sizeof(f->queues[0]) * (size_t)f->n) == 0)
		return;
	f->n = m->conf->nqueues;
	memcpy(f->queues, m->conf->queues, sizeof(f->queues));
	memset(f->starts, 0, sizeof(f->starts));
}

void
fair_list_starts(struct master *m, struct sqlarray *starts)
{
	char text[32];
	int i;

	match_queues(m);
	for (i = 0; i < m->fair.n; i++) {
		snprintf(text, sizeof(text), "%.9f", m->fair.starts[i]);
		sqlarray_add_str(starts, text);
	}
}

int
fair_turns(const struct master *m)
{
	return m->fair.look_at <= clock_ms() ? m->fair.claimed / FAIR_TURN : 0;
}

void
fair_take_turns(struct master *m, int n)
{
	m->fair.claimed -= n * FAIR_TURN;
	m->fair.look_at = clock_ms() + FAIR_LOOK_MS;
}

static void
count(const struct master *m, const PGresult *res, int *counts)
{
	int i, row;

	for (row = 0; row < PQntuples(res); row++)
		for (i = 0; i < m->fair.n; i++)
			if (strcmp(PQgetvalue(res, row, CLAIM_QUEUE), m->fair.queues[i]) == 0)
				counts[i]++;
}

/* The latest beginning that was served is where the time of all is: what has not come so far had nothing to give. */
static void
advance(struct master *m, const int *counts)
{
	struct fair *f = &m->fair;
	double now = 0, least = 0;
	int i;

	for (i = 0; i < f->n; i++)
		if (counts[i] > 0) {
			if (f->starts[i] + (counts[i] - 1.0) / weight_of(m, i) > now)
				now = f->starts[i] + (counts[i] - 1.0) / weight_of(m, i);
			f->starts[i] += (double)counts[i] / weight_of(m, i);
		}
	for (i = 0; i < f->n; i++) {
		if (f->starts[i] < now)
			f->starts[i] = now;
		if (i == 0 || f->starts[i] < least)
			least = f->starts[i];
	}
	for (i = 0; i < f->n; i++)
		f->starts[i] -= least; /* only differences count, and small numbers are exact */
}

void
fair_charge(struct master *m, const PGresult *res)
{
	int counts[CONFIG_QUEUES_MAX] = { 0 };

	m->fair.claimed += PQntuples(res);
	if (m->fair.claimed > TURNS_MAX * FAIR_TURN)
		m->fair.claimed = TURNS_MAX * FAIR_TURN;
	match_queues(m);
	if (PQntuples(res) == 0 || !has_weights(m))
		return;
	count(m, res, counts);
	advance(m, counts);
}
