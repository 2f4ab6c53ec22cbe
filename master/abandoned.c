/*
 * Owns queue.reap_at and queue.reap_later_at.
 */
#include "master/abandoned.h"

#include "common/clock.h"
#include "master/dispatch.h"
#include "master/pool.h"

#define FIRST_MS 10000 /* after the start */
#define SOON_MS 1000
#define CANCELLED_MS 61000 /* see the view ferry.abandoned */

bool
abandoned_is_due(const struct master *m)
{
	return m->queue.reap_at != 0 && m->queue.reap_at <= clock_ms();
}

/* Its index, -1 if there is none. */
static int
find_idle(const struct master *m)
{
	const struct slot *slot;

	POOL_FOREACH (slot, m)
		if (pool_is_available(m, slot))
			return (int)(slot - m->pool.slots);
	return -1;
}

void
abandoned_run(struct master *m)
{
	struct queue *q = &m->queue;
	int64_t now = clock_ms();
	int idle;

	if (q->reap_at == 0)
		q->reap_at = now + FIRST_MS;
	/* a new configuration may want it sooner */
	q->reap_at = clock_earlier(q->reap_at, now + m->conf->reap_interval_ms);
	if (!abandoned_is_due(m) || (idle = find_idle(m)) == -1)
		return;
	dispatch_reap(&m->pool.slots[idle]);
	q->reap_at = now + m->conf->reap_interval_ms;
	if (q->reap_later_at > now)
		q->reap_at = clock_earlier(q->reap_at, q->reap_later_at);
}

int64_t
abandoned_deadline(const struct master *m)
{
	return find_idle(m) != -1 ? m->queue.reap_at : 0;
}

void
abandoned_soon(struct master *m)
{
	m->queue.reap_at = clock_earlier(m->queue.reap_at, clock_ms() + SOON_MS);
}

void
abandoned_after_cancel(struct master *m)
{
	m->queue.reap_later_at = clock_ms() + CANCELLED_MS;
	m->queue.reap_at = clock_earlier(m->queue.reap_at, m->queue.reap_later_at);
}

void
abandoned_now(struct master *m)
{
	m->queue.reap_at = clock_ms();
}
