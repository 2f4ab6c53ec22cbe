#include "master/exporter/history.h"

#include <string.h>

/*
 * The most memory since the last report.  The memory of this moment hides what came and went within
 * the second; the peak, which only rises, shows it.
 */
static int64_t
most_memory(struct history *h, const struct figures_worker *w)
{
	int at = w->number - 1;
	int64_t most = w->memory;

	if (h->generations[at] != w->generation)
		h->peaks[at] = 0;
	if (w->peak > h->peaks[at] && w->peak > most)
		most = w->peak;
	h->generations[at] = w->generation;
	if (w->peak > h->peaks[at])
		h->peaks[at] = w->peak;
	return most > 0 ? most : 0;
}

static bool
is_worker(int number)
{
	return number >= 1 && number <= CONFIG_WORKERS_MAX;
}

/* A worker that died had its peak as its last memory. */
static void
take_ends(struct history *h, const struct figures *f, struct tick *tick)
{
	uint64_t n = f->nends > FIGURES_ENDS ? f->nends - FIGURES_ENDS : 0;
	const struct figures_end *end;

	if (n < h->ends_seen)
		n = h->ends_seen;
	for (; n < f->nends; n++) {
		end = &f->ends[n % FIGURES_ENDS];
		h->ends[h->nends++ % HISTORY_ENDS] = *end;
		if (h->serial > 1 && is_worker(end->number) &&
		    end->peak > tick->memory[end->number - 1])
			tick->memory[end->number - 1] = end->peak;
	}
	h->ends_seen = f->nends;
}

/* What each sum has grown by.  The first report tells how far they were before. */
static void
take_sums(struct figures_sums *old, const struct figures_sums *new, uint64_t *grown, bool is_first)
{
	int i;

	for (i = 0; i < new->n && !is_first; i++)
		grown[i] = new->list[i].value - (i < old->n ? old->list[i].value : 0);
	*old = *new;
}

void
history_take(struct history *h, const struct figures *f, int64_t at)
{
	bool is_first = h->serial == 0;
	struct tick *tick = &h->ticks[++h->serial % HISTORY_TICKS];
	int i;

	memset(tick, 0, sizeof(*tick));
	tick->at = at;
	for (i = 0; i < f->nworkers; i++)
		if (is_worker(f->workers[i].number))
			tick->memory[f->workers[i].number - 1] = most_memory(h, &f->workers[i]);
	take_ends(h, f, tick);
	take_sums(&h->bytes, &f->bytes, tick->bytes, is_first);
	take_sums(&h->failures, &f->failures, tick->failures, is_first);
}

const struct tick *
history_tick(const struct history *h, int64_t serial)
{
	if (serial < 1 || serial > h->serial || serial <= h->serial - HISTORY_TICKS)
		return NULL;
	return &h->ticks[serial % HISTORY_TICKS];
}

const struct figures_end *
history_end(const struct history *h, uint64_t n)
{
	if (n >= h->nends || n + HISTORY_ENDS < h->nends)
		return NULL;
	return &h->ends[n % HISTORY_ENDS];
}
