/*
 * The token bucket.  It holds a tenth of a second's worth, so that a limit is smooth over any second.
 */
#include "worker/rate.h"

#define RATE_BURSTS_A_SECOND 10

void
rate_set(struct rate *rate, int64_t limit, int64_t now)
{
	if (limit == rate->limit)
		return;
	rate->limit = limit;
	rate->tokens = limit / RATE_BURSTS_A_SECOND;
	rate->filled_at = now;
}

int64_t
rate_wait(struct rate *rate, int64_t now)
{
	int64_t burst = rate->limit / RATE_BURSTS_A_SECOND;
	int64_t earned;

	if (rate->limit <= 0)
		return 0;
	/* an hour's sleep must not overflow the product */
	if (now - rate->filled_at > 60000)
		rate->filled_at = now - 60000;
	earned = (int64_t)((double)(now - rate->filled_at) * (double)rate->limit / 1000.0);
	if (earned > 0) {
		rate->tokens += earned;
		rate->filled_at = now;
		if (rate->tokens > burst)
			rate->tokens = burst;
	}
	if (rate->tokens >= 0)
		return 0;
	return now + (int64_t)((double)-rate->tokens * 1000.0 / (double)rate->limit) + 1;
}

void
rate_spend(struct rate *rate, int64_t bytes)
{
	if (rate->limit > 0)
		rate->tokens -= bytes;
}
