/*
 * The token bucket: no limit, debt, refill, and no credit for idleness.
 */
#include "tests/unit/tap.h"
#include "worker/base/rate.h"

int
main(void)
{
	struct rate rate = { 0 };
	int64_t now = 1000, moved = 0, at;

	rate_spend(&rate, 1 << 30);
	is_int(rate_wait(&rate, now), 0, "without a limit nothing waits");

	rate_set(&rate, 1000000, now);
	is_int(rate_wait(&rate, now), 0, "a fresh bucket lets bytes pass");
	rate_spend(&rate, 1100000);
	at = rate_wait(&rate, now);
	ok(at >= now + 1000 && at <= now + 1002,
	    "a debt of a second's worth waits a second (%d ms)", (int)(at - now));
	is_int(rate_wait(&rate, at), 0, "until the tokens are spent");

	now = at + 3600000;
	is_int(rate_wait(&rate, now), 0, "after an hour bytes pass");
	rate_spend(&rate, 600000);
	ok(rate_wait(&rate, now) >= now + 499, "but an hour's tokens were not saved up");

	now += 10000;
	for (at = now + 10000; now < at; now++) {
		if (rate_wait(&rate, now) == 0) {
			rate_spend(&rate, 16384);
			moved += 16384;
		}
	}
	ok(moved > 9800000 && moved < 10300000, "ten seconds move what ten seconds allow (%d)",
	    (int)moved);
	rate_spend(&rate, 3000000);
	rate_set(&rate, 2000000, now);
	ok(rate_wait(&rate, now) >= now + 1300, "a new limit keeps the debt");
	ok(rate_portion(&rate, 1 << 20) == 200000, "a portion is what a tenth of a second allows");
	rate_set(&rate, 0, now);
	rate_spend(&rate, 1 << 30);
	is_int(rate_wait(&rate, now), 0, "a limit can be lifted");
	return done_testing();
}
