#include "master/limits/fair.h"

#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"

#define TURNS_MAX 1000 /* turns that were not taken do not add up for ever */

static int
weight_of(const struct limits *l, int i)
{
	const struct quota *q;

	for (q = l->quotas.list; q < l->quotas.list + l->quotas.n; q++)
		if (q->is_queue && q->weight > 0 && strcmp(q->name, l->state->conf->queues[i]) == 0)
			return q->weight;
	return 1;
}

bool
fair_has_weights(const struct limits *l)
{
	const struct quota *q;

	for (q = l->quotas.list; q < l->quotas.list + l->quotas.n; q++)
		if (q->is_queue && q->weight > 0)
			return true;
	return false;
}

/* A new configuration may have other queues: then all start alike. */
static void
match_queues(struct limits *l)
{
	struct fair *f = &l->fair;

	if (f->n == l->state->conf->nqueues &&
	    memcmp(f->queues, l->state->conf->queues, sizeof(f->queues[0]) * (size_t)f->n) == 0)
		return;
	f->n = l->state->conf->nqueues;
	memcpy(f->queues, l->state->conf->queues, sizeof(f->queues));
	memset(f->starts, 0, sizeof(f->starts));
}

void
fair_list_starts(struct limits *l, struct sqlarray *starts)
{
	char text[32];
	int i;

	match_queues(l);
	for (i = 0; i < l->fair.n; i++) {
		snprintf(text, sizeof(text), "%.9f", l->fair.starts[i]);
		sqlarray_add_str(starts, text);
	}
}

int
fair_turns(const struct limits *l)
{
	return l->fair.look_at <= clock_ms() ? l->fair.claimed / FAIR_TURN : 0;
}

void
fair_take_turns(struct limits *l, int n)
{
	l->fair.claimed -= n * FAIR_TURN;
	l->fair.look_at = clock_ms() + FAIR_LOOK_MS;
}

/*
 * The latest start of a task that was claimed now is the time of all queues.  A queue that is
 * behind it was empty, and catches up.
 */
void
fair_charge(struct limits *l, const int *counts)
{
	struct fair *f = &l->fair;
	double now = 0, least = 0;
	int i;

	match_queues(l);
	for (i = 0; i < f->n; i++)
		if (counts[i] > 0) {
			if (f->starts[i] + (counts[i] - 1.0) / weight_of(l, i) > now)
				now = f->starts[i] + (counts[i] - 1.0) / weight_of(l, i);
			f->starts[i] += (double)counts[i] / weight_of(l, i);
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
fair_note_claimed(struct limits *l, int tasks)
{
	l->fair.claimed += tasks;
	if (l->fair.claimed > TURNS_MAX * FAIR_TURN)
		l->fair.claimed = TURNS_MAX * FAIR_TURN;
}
