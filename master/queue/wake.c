#include "master/queue/wake.h"

#include <stdlib.h>

#include "common/base/clock.h"

#define SOON_MS 3 /* between two claims, for INSERTs that come together */
#define TURN_MS 16 /* nodes that have paused do not ask all at the same moment */
#define PAUSE_MS 25 /* for each node that there is */
#define PAUSE_MOST_MS 1000
#define LEAD_MS 1000

static uint32_t
pause_of(int nodes)
{
	return nodes < PAUSE_MOST_MS / PAUSE_MS ? (uint32_t)(nodes * PAUSE_MS) : PAUSE_MOST_MS;
}

int64_t
wake_due(const struct wake *w, int others, int64_t now)
{
	uint32_t pause = pause_of(others + 1);
	int64_t soon = w->last_at + SOON_MS, later;

	if (soon < now)
		soon = now;
	if (others == 0 || w->lead_until > now)
		return soon;
	soon += arc4random_uniform(TURN_MS);
	later = w->last_at + pause / 2 + arc4random_uniform(pause / 2);
	return w->last_at != 0 && later > soon ? later : soon;
}

void
wake_run(struct queue *q)
{
	struct wake *w = &q->wake;
	struct agenda *a = &q->state->agenda;
	int64_t now = clock_ms();

	if (a->wake && w->at == 0)
		w->at = wake_due(w, q->node->others, now);
	a->wake = false;
	if (w->at == 0 || w->at > now)
		return;
	w->at = 0;
	w->due = true;
	agenda_claim(a);
}

int64_t
wake_deadline(const struct queue *q)
{
	return q->wake.at;
}

bool
wake_take(struct queue *q)
{
	struct wake *w = &q->wake;
	bool due = w->due;

	w->at = 0;
	w->due = false;
	return due;
}

void
wake_note(struct queue *q, bool found)
{
	struct wake *w = &q->wake;
	int64_t now = clock_ms();

	w->last_at = now;
	if (!found || now < w->rest_until)
		return;
	w->lead_until = now + LEAD_MS;
	w->rest_until = w->lead_until + LEAD_MS;
}
