#include "worker/task/bounds.h"

#include <inttypes.h>

#include "common/base/clock.h"
#include "common/base/units.h"

#define MINUTE_MS 60000

int
bounds_check_size(struct transfer *t, int64_t size)
{
	int64_t max = t->w->setup->config.worker.max_size;
	char text[32];

	if (max == 0 || size <= max)
		return 0;
	units_format_size(text, sizeof(text), max);
	return failure_set(&t->failure, CLASS_PERMANENT,
	    "the source has %s%" PRId64 " bytes, more than max_size (%s) allows",
	    transfer_total(t) < 0 ? "at least " : "", size, text);
}

static bool
is_slowed(const struct transfer *t)
{
	return t->w->queue_rate.limit > 0 || t->source.store->rate.limit > 0 ||
	       t->destination.store->rate.limit > 0 || transfer_is_copy(t);
}

static int
check_rate(struct transfer *t, int64_t moved, int64_t now, int64_t *wake)
{
	int64_t min = t->w->setup->config.worker.min_rate, rate;
	char is[32], must[32];

	if (min == 0)
		return 0;
	if (t->pace_at == 0 || is_slowed(t)) {
		t->pace_at = now + MINUTE_MS;
		t->pace_moved = moved;
	}
	*wake = clock_earlier(*wake, t->pace_at);
	if (now < t->pace_at)
		return 0;
	rate = moved > t->pace_moved
		   ? (moved - t->pace_moved) * 1000 / (now - t->pace_at + MINUTE_MS)
		   : 0;
	t->pace_at = now + MINUTE_MS;
	t->pace_moved = moved;
	if (rate >= min)
		return 0;
	units_format_size(is, sizeof(is), rate);
	units_format_size(must, sizeof(must), min);
	return failure_set(&t->failure, CLASS_TRANSIENT,
	    "%s/s in the last minute, less than min_rate (%s/s)", is, must);
}

int
bounds_check_pace(struct transfer *t, int64_t moved, int64_t now, int64_t *wake)
{
	int64_t max = t->w->setup->config.worker.max_duration_ms;

	if (max > 0 && now - t->started_at >= max)
		return failure_set(&t->failure, CLASS_TRANSIENT,
		    "the attempt has taken %" PRId64 " s, which is max_duration", max / 1000);
	if (max > 0)
		*wake = clock_earlier(*wake, t->started_at + max);
	return check_rate(t, moved, now, wake);
}
