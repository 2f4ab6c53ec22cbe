/*
 * When a node claims that was told of new tasks, alone and beside others.
 */
#include "common/base/clock.h"
#include "master/queue/wake.h"
#include "tests/unit/tap.h"

#define NOW 1000000
#define TRIES 200

/* The earliest and the latest moment of many, after NOW. */
static void
range(const struct wake *w, int others, int64_t *least, int64_t *most)
{
	int64_t at;
	int i;

	*least = INT64_MAX;
	*most = 0;
	for (i = 0; i < TRIES; i++) {
		at = wake_due(w, others, NOW) - NOW;
		*least = at < *least ? at : *least;
		*most = at > *most ? at : *most;
	}
}

int
main(void)
{
	static struct state state;
	static struct queue q = { .state = &state };
	static struct node node;
	int64_t least, most;

	q.node = &node;
	range(&(struct wake){ 0 }, 0, &least, &most);
	is_int(most, 0, "a node that is alone claims at once");
	range(&(struct wake){ .last_at = NOW }, 0, &least, &most);
	ok(least == most && most > 0 && most < 10, "for wakes that come together it claims once");
	range(&(struct wake){ .last_at = NOW - 60000 }, 49, &least, &most);
	ok(most < 20, "a node that has paused claims soon");
	ok(most > least, "and nodes do not claim all at the same moment");
	range(&(struct wake){ .last_at = NOW }, 7, &least, &most);
	ok(least >= 100 && most <= 220, "one of 8 nodes pauses for 100 to 200 ms");
	range(&(struct wake){ .last_at = NOW }, 999, &least, &most);
	ok(least >= 500 && most <= 1020, "and one of a thousand for a second at most");
	range(&(struct wake){ .last_at = NOW, .lead_until = NOW + 1 }, 7, &least, &most);
	ok(most < 10, "the node that leads does not pause");

	wake_note(&q, false);
	is_int(q.wake.lead_until, 0, "a node that finds nothing does not lead");
	wake_note(&q, true);
	ok(q.wake.lead_until > clock_ms() && q.wake.last_at != 0, "a node that finds tasks does");
	q.wake.lead_until = least = clock_ms() - 1;
	wake_note(&q, true);
	is_int(q.wake.lead_until, least, "when it has led for its time, it lets others");
	q.wake.rest_until = clock_ms() - 1;
	wake_note(&q, true);
	ok(q.wake.lead_until > clock_ms(), "and leads again later");
	return done_testing();
}
