#include "master/agenda.h"

#include "common/base/clock.h"

#define REAP_SOON_MS 1000
#define REAP_LATER_MS 61000 /* the view ferry.abandoned and the reaper count a minute */

void
agenda_claim(struct agenda *a)
{
	a->claim = true;
}

void
agenda_wake(struct agenda *a)
{
	a->wake = true;
}

void
agenda_cancelled(struct agenda *a)
{
	a->check = true;
	agenda_reap_later(a);
}

void
agenda_check_later(struct agenda *a)
{
	if (a->check_at == 0)
		a->check_at = clock_ms() + AGENDA_CHECK_MS;
}

void
agenda_renew_by(struct agenda *a, int64_t at)
{
	if (a->renew_at != 0)
		a->renew_at = clock_earlier(a->renew_at, at);
}

void
agenda_limits(struct agenda *a)
{
	a->limits = true;
}

void
agenda_reap_soon(struct agenda *a)
{
	a->reap_at = clock_earlier(a->reap_at, clock_ms() + REAP_SOON_MS);
}

void
agenda_reap_later(struct agenda *a)
{
	a->reap_again_at = clock_ms() + REAP_LATER_MS;
	a->reap_at = clock_earlier(a->reap_at, a->reap_again_at);
}

void
agenda_reap_now(struct agenda *a)
{
	a->reap_at = clock_ms();
}

bool
agenda_reap_is_due(const struct agenda *a)
{
	return a->reap_at != 0 && a->reap_at <= clock_ms();
}
