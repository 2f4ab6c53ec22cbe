#include "common/db/refused.h"

#include <inttypes.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"

static struct refused_cause *
find(struct refused *r, const char *work, const char *state)
{
	struct refused_cause *c, *oldest = r->of;

	for (c = r->of; c < r->of + r->n; c++) {
		if (strcmp(c->work, work) == 0 && strcmp(c->state, state) == 0)
			return c;
		if (c->outage.failed_at < oldest->outage.failed_at)
			oldest = c;
	}
	if (r->n < REFUSED_MAX)
		oldest = &r->of[r->n++];
	memset(oldest, 0, sizeof(*oldest));
	strlcpy(oldest->work, work, sizeof(oldest->work));
	strlcpy(oldest->state, state, sizeof(oldest->state));
	return oldest;
}

void
refused_add(
    struct refused *r, const char *work, const char *state, const char *message, const char *then)
{
	struct outage *o = &find(r, work, state)->outage;

	switch (outage_failed(o, clock_ms())) {
	case OUTAGE_BEGINS:
		log_error("%s: the database refuses: %s; %s", work, message, then);
		break;
	case OUTAGE_LASTS:
		log_error("%s: the database has refused %" PRId64 " times in %" PRId64
			  " s, now: %s; %s",
		    work, o->failures, o->lasted_ms / 1000, message, then);
		break;
	default:
		break;
	}
}

void
refused_relieve(struct refused *r, const char *work)
{
	struct refused_cause *c;

	for (c = r->of; c < r->of + r->n; c++)
		if (c->outage.began_at != 0 && strcmp(c->work, work) == 0)
			outage_succeeded(&c->outage, clock_ms());
}

void
refused_run(struct refused *r)
{
	int64_t now = clock_ms();
	struct refused_cause *c;

	for (c = r->of; c < r->of + r->n; c++)
		if (outage_run(&c->outage, now) == OUTAGE_ENDS)
			log_info("%s: the database accepts it again, after %" PRId64
				 " refusals in %" PRId64 " s",
			    c->work, c->outage.failures, c->outage.lasted_ms / 1000);
}

int64_t
refused_deadline(const struct refused *r)
{
	const struct refused_cause *c;
	int64_t at = 0;

	for (c = r->of; c < r->of + r->n; c++)
		at = clock_earlier(at, outage_deadline(&c->outage));
	return at;
}
