/* The counts of requests that the master is told. */
#include "tests/unit/tap.h"
#include "worker/base/tally.h"

static void
test_counts(void)
{
	struct tally t = { 0 };
	struct msg_requests msg;

	ok(!tally_fill(&t, &msg) && msg.n == 0, "nothing is told of no requests");
	tally_add(&t, "cos", REQUEST_PUT, 200);
	tally_add(&t, "cos", REQUEST_PUT, 200);
	tally_add(&t, "cos", REQUEST_PUT, 503);
	tally_add(&t, "cos", REQUEST_GET, 200);
	tally_add(&t, "ceph", REQUEST_PUT, 200);
	tally_add(&t, "ceph", REQUEST_PUT, 0);
	ok(tally_fill(&t, &msg) && msg.n == 5,
	    "store, operation and status each make a count of their own");
	is_int(msg.list[0].requests, 2, "equal ones are one count");
	is_str(msg.list[3].store, "ceph", "a count names its store");
	is_int(msg.list[4].status, 0, "one without an answer has no status");
	tally_add(&t, "cos", REQUEST_DELETE, 204);
	tally_sent(&t, &msg);
	ok(tally_fill(&t, &msg) && msg.n == 1 && msg.list[0].op == REQUEST_DELETE &&
		msg.list[0].requests == 1,
	    "what was sent is gone, what came since is not");
}

static void
test_many(void)
{
	struct tally t = { 0 };
	struct msg_requests msg;
	int i, told = 0, messages = 0;

	for (i = 0; i < TALLY_MAX + 10; i++)
		tally_add(&t, "cos", REQUEST_PUT, 100 + i);
	tally_add(&t, "cos", REQUEST_PUT, 100 + TALLY_MAX - 1);
	while (tally_fill(&t, &msg)) {
		told += msg.n;
		messages++;
		if (messages == TALLY_MAX / REQUESTS_MAX)
			is_int(msg.list[msg.n - 1].requests, 2, "a full tally still counts");
		tally_sent(&t, &msg);
	}
	is_int(told, TALLY_MAX, "as many as there is room for are told");
	is_int(messages, TALLY_MAX / REQUESTS_MAX, "in as many messages as they need");
}

int
main(void)
{
	test_counts();
	test_many();
	return done_testing();
}
