#include "common/base/outage.h"

enum outage_news
outage_failed(struct outage *o, int64_t now)
{
	if (o->began_at == 0)
		*o = (struct outage){ .began_at = now };
	o->failed_at = now;
	o->recovered_at = 0;
	o->failures++;
	o->lasted_ms = now - o->began_at;
	if (o->told_at != 0 && now - o->told_at < OUTAGE_REPEAT_MS)
		return OUTAGE_SILENT;
	o->told_at = now;
	return o->failures == 1 ? OUTAGE_BEGINS : OUTAGE_LASTS;
}

void
outage_succeeded(struct outage *o, int64_t now)
{
	if (o->began_at == 0 || o->recovered_at != 0)
		return;
	o->recovered_at = now;
	o->lasted_ms = now - o->began_at;
}

enum outage_news
outage_run(struct outage *o, int64_t now)
{
	int64_t at = outage_deadline(o);

	if (at == 0 || at > now)
		return OUTAGE_SILENT;
	o->began_at = o->recovered_at = 0;
	return OUTAGE_ENDS;
}

int64_t
outage_deadline(const struct outage *o)
{
	return o->recovered_at != 0 ? o->failed_at + OUTAGE_QUIET_MS : 0;
}
