/*
 * The controller of parts in flight, on links that are simulated a millisecond at a time.
 */
#include <stdlib.h>

#include "tests/unit/tap.h"
#include "worker/base/parallel.h"

#define MIB (1 << 20)

/*
 * A link: so much for each stream, so much for all, and whether the worker has time to wait.  Bytes
 * a ms.
 */
struct link {
	double each;
	double all;
	bool saturated;
	int refuses_from; /* so many in flight are one too many; 0: never */
	double noise; /* share by which a ms may differ */
};

static struct parallel_sample at;
static double moved;
static int refused, most; /* refused: so often that it was halved */

static void
run(struct parallel *s, const struct link *link, int64_t latency, int64_t ms)
{
	int64_t end = at.now + ms;
	double rate;

	for (; at.now < end; at.now++) {
		at.busy = s->limit;
		at.latency = latency;
		if (link->refuses_from > 0 && at.busy >= link->refuses_from) {
			parallel_throttled(s, at.busy, at.now, at.now);
			refused += s->limit < at.busy;
			at.busy = s->limit;
		}
		rate = at.busy * link->each < link->all ? at.busy * link->each : link->all;
		moved += rate * (1.0 + link->noise * ((double)rand() / RAND_MAX - 0.5));
		at.bytes = (int64_t)moved;
		at.idle_us += link->saturated ? 0 : 500;
		parallel_take(s, &at);
		if (s->limit > most)
			most = s->limit;
	}
}

static struct parallel
begin(int max, int64_t latency, const struct parallel_book *book)
{
	struct parallel s;

	at = (struct parallel_sample){ .now = at.now + 1000 };
	moved = 0;
	refused = most = 0;
	parallel_init(&s, max, book, &(struct parallel_link){ "ceph", "cos", latency }, at.now);
	return s;
}

static void
test_links(void)
{
	static const struct parallel_book empty;
	struct link far = { .each = 8 * MIB / 1000.0, .all = 1e9, .noise = 1 };
	struct link shared = { .each = 8 * MIB / 1000.0, .all = 96 * MIB / 1000.0, .noise = 1 };
	struct link narrow = { .each = 50 * MIB / 1000.0, .all = 50 * MIB / 1000.0, .noise = 1 };
	struct link near = {
		.each = 900 * MIB / 1000.0, .all = 950 * MIB / 1000.0, .saturated = true
	};
	struct parallel s = begin(26, 160, &empty);

	is_int(s.limit, 16, "over a long way some are in flight at once");
	run(&s, &far, 160, 1500);
	is_int(s.limit, 26, "and as many as memory holds soon, where each brings its own");
	run(&s, &far, 160, 20000);
	ok(s.limit >= 20, "it stays there (%d)", s.limit);

	s = begin(26, 160, &empty);
	run(&s, &shared, 160, 30000);
	ok(s.limit >= 10 && s.limit <= 18, "12 streams fill the link: about so many stay (%d)",
	    s.limit);

	s = begin(26, 2, &empty);
	is_int(s.limit, 1, "near by there is one at first");
	run(&s, &narrow, 2, 30000);
	ok(s.limit <= 2, "and one stays if it fills the link (%d)", s.limit);

	s = begin(26, 2, &empty);
	run(&s, &near, 2, 5000);
	is_int(most, 1, "a worker that never waits does not try more");

	s = begin(1, 160, &empty);
	run(&s, &far, 160, 5000);
	is_int(most, 1, "a cap that holds one stream gets one");

	parallel_init_fixed(&s, 4);
	run(&s, &narrow, 2, 5000);
	parallel_throttled(&s, 4, at.now, at.now);
	is_int(s.limit, 4, "a fixed number stays whatever happens");
	is_int(parallel_due(&s, at.now), 0, "and wants no samples");
}

static void
test_change(void)
{
	static const struct parallel_book empty;
	struct link wide = { .each = 8 * MIB / 1000.0, .all = 1e9 },
		    narrow = { .each = 8 * MIB / 1000.0, .all = 8 * MIB / 1000.0 };
	struct parallel s = begin(16, 160, &empty);

	run(&s, &wide, 160, 5000);
	run(&s, &narrow, 160, 120000);
	ok(s.limit <= 8, "a link that has become narrow gives streams back (%d)", s.limit);
	run(&s, &wide, 160, 120000);
	ok(s.limit >= 12, "and takes them again when it is wide (%d)", s.limit);
}

static void
test_throttling(void)
{
	static const struct parallel_book empty;
	struct link far = { .each = 8 * MIB / 1000.0, .all = 1e9, .refuses_from = 6, .noise = 0.2 };
	struct parallel_book book = empty;
	struct parallel s = begin(26, 160, &empty);
	int first;

	run(&s, &far, 160, 3000);
	first = refused;
	ok(s.limit <= 5 && first >= 1, "a store that takes 5 gets no more (%d, %d refused)",
	    s.limit, first);
	run(&s, &far, 160, 27000);
	ok(s.limit >= 4 && s.limit <= 5, "and no less for long (%d)", s.limit);
	ok(refused <= first + 2, "it is not asked for more again and again (%d refused in all)",
	    refused);

	parallel_remember(
	    &s, &book, &(struct parallel_link){ .source = "ceph", .destination = "cos" }, at.now);
	s = begin(26, 160, &book);
	ok(s.limit >= 4 && s.limit <= 5, "the next task begins with so many (%d)", s.limit);
	run(&s, &far, 160, 20000);
	ok(refused <= 1, "and remembers the ceiling (%d refused)", refused);

	s = begin(26, 160, &empty);
	at.busy = s.limit;
	parallel_throttled(&s, at.busy, at.now, at.now + 100);
	parallel_throttled(&s, at.busy, at.now + 50, at.now + 105);
	parallel_throttled(&s, s.limit, at.now + 99, at.now + 2000);
	is_int(s.limit, 8, "what was in flight together halves once, however late it is answered");
	parallel_throttled(&s, s.limit, at.now + 101, at.now + 2100);
	is_int(s.limit, 4, "what was begun since then halves again");
	parallel_throttled(&s, s.limit, at.now + 3000, at.now + 3001);
	parallel_throttled(&s, s.limit, at.now + 4000, at.now + 4001);
	parallel_throttled(&s, s.limit, at.now + 5000, at.now + 5001);
	is_int(s.limit, 1, "one is the least");
	run(&s, &(struct link){ .each = 8 * MIB / 1000.0, .all = 1e9 }, 160, 40000);
	ok(s.limit >= 12, "a store that has room again is found out soon (%d)", s.limit);
}

static void
test_book(void)
{
	struct link far = { .each = 8 * MIB / 1000.0, .all = 1e9 };
	struct parallel_book book = { 0 };
	struct parallel s = begin(16, 160, &book);
	int i;

	parallel_remember(
	    &s, &book, &(struct parallel_link){ .source = "ceph", .destination = "cos" }, at.now);
	is_str(book.pairs[0].source, "", "nothing was learned, so nothing is written down");
	run(&s, &far, 2, 5000);
	parallel_remember(
	    &s, &book, &(struct parallel_link){ .source = "ceph", .destination = "cos" }, at.now);
	s = begin(16, 2, &book);
	is_int(s.limit, 16, "a second task begins where the first ended");
	s = begin(6, 2, &book);
	is_int(s.limit, 6, "within the memory that there is");
	at.now += 125000;
	s = begin(16, 2, &book);
	is_int(s.limit, 4, "what was learned two minutes ago is worth a quarter");
	at.now += 3600000;
	s = begin(16, 2, &book);
	is_int(s.limit, 1, "and nothing after an hour");
	parallel_init(&s, 16, &book, &(struct parallel_link){ "cos", "ceph", 2 }, at.now);
	is_int(s.limit, 1, "another pair has its own");

	for (i = 0; i < 3 * PARALLEL_PAIRS; i++) {
		char name[24];

		s = begin(16, 2, &book);
		run(&s, &far, 2, 5000);
		snprintf(name, sizeof(name), "store-%d", i);
		parallel_remember(&s, &book,
		    &(struct parallel_link){ .source = name, .destination = "cos" }, at.now);
	}
	parallel_init(&s, 16, &book, &(struct parallel_link){ "store-47", "cos", 2 }, at.now);
	is_int(s.limit, 16, "of many pairs the latest are kept");
	parallel_init(&s, 16, &book, &(struct parallel_link){ "store-3", "cos", 2 }, at.now);
	is_int(s.limit, 1, "and the oldest make room");
}

static void
test_samples(void)
{
	static const struct parallel_book empty;
	struct parallel s = begin(26, 2, &empty);

	for (; at.now < 1000000; at.now += 10) {
		at.bytes += MIB;
		at.busy = 0;
		parallel_take(&s, &at);
		if (parallel_due(&s, at.now) <= at.now)
			break;
	}
	ok(at.now >= 1000000, "the next sample is always due later");
	is_int(s.limit, 1, "with fewer parts left than could be in flight nothing is learned");
	at.busy = 1;
	parallel_take(&s, &at);
	at.now += 5000;
	at.bytes -= 100 * MIB;
	ok(!parallel_take(&s, &at), "a part that starts over is no rate");
}

int
main(void)
{
	srand(1);
	test_links();
	test_change();
	test_throttling();
	test_book();
	test_samples();
	return done_testing();
}
