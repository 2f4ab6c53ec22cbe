#include "master/pool/lease.h"

#include "common/base/clock.h"
#include "master/pool/outbox.h"
#include "master/pool/slot.h"

#define MARGIN_MAX_MS 2000
#define MARGIN_SHARE 8 /* a short lease loses this part */

int64_t
lease_usable_ms(int64_t lease_ms)
{
	int64_t margin = lease_ms / MARGIN_SHARE;

	return lease_ms - (margin < MARGIN_MAX_MS ? margin : MARGIN_MAX_MS);
}

struct lease_ask
lease_ask(const struct pool *p)
{
	return (struct lease_ask){ clock_boot_ms(), p->state->conf->lease_ms };
}

void
lease_tell(const struct pool *p, struct slot *slot)
{
	struct msg msg = { .type = MSG_LEASE, .lease.until = p->lease.until };

	outbox_send(slot, &msg, -1);
}

static void
tell_all(struct pool *p)
{
	struct slot *slot;

	POOL_FOREACH (slot, p)
		if (slot_is_live(slot))
			lease_tell(p, slot);
}

void
lease_granted(struct pool *p, int64_t node, const struct lease_ask *ask)
{
	int64_t until = ask->at + lease_usable_ms(ask->length);

	if (p->lease.node == node && p->lease.length == ask->length && until < p->lease.until)
		return;
	p->lease.node = node;
	p->lease.length = ask->length;
	p->lease.until = until;
	tell_all(p);
}

void
lease_lapsed(struct pool *p)
{
	p->lease.node = 0;
	p->lease.until = 0;
	tell_all(p);
}
