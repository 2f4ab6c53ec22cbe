/*
 * Owns queue.lease_*.
 */
#include "master/lease.h"

#include "common/clock.h"
#include "master/pool.h"
#include "master/post.h"

#define MARGIN_MAX_MS 2000
#define MARGIN_SHARE 8 /* of a short lease */

int64_t
lease_usable_ms(int64_t lease_ms)
{
	int64_t margin = lease_ms / MARGIN_SHARE;

	return lease_ms - (margin < MARGIN_MAX_MS ? margin : MARGIN_MAX_MS);
}

void
lease_asked(struct master *m)
{
	m->queue.lease_asked_at = clock_boot_ms();
	m->queue.lease_asked_ms = m->conf->lease_ms;
}

void
lease_tell(const struct master *m, struct slot *slot)
{
	struct msg msg = { .type = MSG_LEASE, .lease.until = m->queue.lease_until };

	post_send(slot, &msg, -1);
}

static void
tell_all(struct master *m)
{
	struct slot *slot;

	POOL_FOREACH (slot, m)
		if (pool_is_live(slot))
			lease_tell(m, slot);
}

void
lease_granted(struct master *m)
{
	m->queue.lease_until = m->queue.lease_asked_at + lease_usable_ms(m->queue.lease_asked_ms);
	tell_all(m);
}

void
lease_lapsed(struct master *m)
{
	m->queue.lease_until = 0;
	tell_all(m);
}
