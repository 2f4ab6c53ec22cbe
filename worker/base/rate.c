#include "worker/base/rate.h"

/* The bucket holds tokens for a tenth of a second, so that a limit is smooth over any second. */
#define BURSTS_A_SECOND 10

#define PORTION_MIN (16 << 10) /* bytes */

static void
fill(struct rate *rate, int64_t now)
{
	double burst = (double)rate->limit / BURSTS_A_SECOND;

	rate->tokens += (double)(now - rate->filled_at) * (double)rate->limit / 1000.0;
	rate->filled_at = now;
	if (rate->tokens > burst)
		rate->tokens = burst;
}

void
rate_set(struct rate *rate, int64_t limit, int64_t now)
{
	if (limit == rate->limit)
		return;
	if (rate->limit > 0)
		fill(rate, now);
	else
		rate->tokens = (double)limit / BURSTS_A_SECOND;
	rate->limit = limit;
	rate->filled_at = now;
}

int64_t
rate_wait(struct rate *rate, int64_t now)
{
	if (rate->limit <= 0)
		return 0;
	fill(rate, now);
	if (rate->tokens >= 0)
		return 0;
	return now + (int64_t)(-rate->tokens * 1000.0 / (double)rate->limit) + 1;
}

size_t
rate_portion(const struct rate *rate, size_t wanted)
{
	size_t most = (size_t)(rate->limit / BURSTS_A_SECOND);

	if (rate->limit <= 0 || wanted <= most)
		return wanted;
	if (most < PORTION_MIN)
		most = PORTION_MIN;
	return wanted < most ? wanted : most;
}

void
rate_spend(struct rate *rate, int64_t bytes)
{
	if (rate->limit > 0)
		rate->tokens -= (double)bytes;
}
