#include "master/upkeep/reap.h"

#include "common/base/clock.h"
#include "master/pool/pool.h"

#define FIRST_MS 10000 /* after the start */

static struct slot *
find_idle(const struct upkeep *u)
{
	struct slot *slot;

	POOL_FOREACH (slot, u->pool)
		if (slot_is_available(u->pool, slot))
			return slot;
	return NULL;
}

void
reap_assign(struct upkeep *u)
{
	struct agenda *a = &u->state->agenda;
	int64_t interval = u->state->conf->reap_interval_ms, now = clock_ms();
	struct slot *idle;

	if (a->reap_at == 0)
		a->reap_at = now + FIRST_MS;
	/* a new configuration may have a shorter interval */
	a->reap_at = clock_earlier(a->reap_at, now + interval);
	if (!agenda_reap_is_due(a) || (idle = find_idle(u)) == NULL)
		return;
	pool_reap(idle);
	a->reap_at = now + interval;
	if (a->reap_again_at > now)
		a->reap_at = clock_earlier(a->reap_at, a->reap_again_at);
}

int64_t
reap_deadline(const struct upkeep *u)
{
	return find_idle(u) != NULL ? u->state->agenda.reap_at : 0;
}
