/*
 * The lease on both sides: the margin that the master takes off, and the worker's view of it.
 */
#include "common/base/clock.h"
#include "common/base/log.h"
#include "master/pool/lease.h"
#include "master/pool/slot.h"
#include "tests/unit/tap.h"
#include "worker/event/loop.h"
#include "worker/session/lease.h"

static struct worker w;

static void
tell(int64_t until)
{
	struct msg_lease lease = { .until = until };

	lease_take(&w, &lease);
}

/* The master's side: from when on, and how long, a lease holds. */
static void
test_granted(void)
{
	static struct config conf;
	static struct state state = { .conf = &conf };
	static struct pool pool = { .state = &state, .span = 1 };

	struct lease_ask ask, later;

	conf.lease_ms = 8000;
	ask = lease_ask(&pool);
	ask.at -= 5000; /* the answer takes so long */
	conf.lease_ms = 60000; /* and a new configuration comes meanwhile */
	lease_granted(&pool, 7, &ask);
	is_int(pool.lease.node, 7, "a lease has a node");
	is_int(pool.lease.until, ask.at + 7000,
	    "it counts from the question, and is as long as was asked for, less its margin");
	later = (struct lease_ask){ ask.at + 3000, ask.length };
	lease_granted(&pool, 7, &later);
	lease_granted(&pool, 7, &ask);
	is_int(pool.lease.until, later.at + 7000, "an answer that comes late takes nothing back");
	later.length = 4000;
	lease_granted(&pool, 7, &later);
	is_int(pool.lease.until, later.at + 3500, "a lease that is shorter now ends sooner");
	lease_lapsed(&pool);
	is_int(pool.lease.node, 0, "a lease that has lapsed has none");
	is_int(pool.lease.until, 0, "and holds no longer");
}

int
main(void)
{
	struct failure f;
	int64_t now = clock_boot_ms();

	log_init("test_lease", -1);
	log_set_max_priority(LOG_EMERG);
	test_granted();
	is_int(lease_usable_ms(2000), 1750, "a short lease loses an eighth");
	is_int(lease_usable_ms(3600000), 3598000, "a long lease loses two seconds");

	ok(!lease_holds(&w), "a worker without a LEASE message has no lease");
	is_int(lease_deadline(&w), 0, "and no deadline");
	w.has_task = true;
	tell(now + 60000);
	ok(lease_holds(&w), "after the message it has a lease");
	ok(lease_deadline(&w) > clock_ms() + 50000 && lease_deadline(&w) <= clock_ms() + 60000,
	    "with the deadline of the message");
	is_int(loop_await_lease(&w), 0, "a worker with a lease does not wait for it");
	tell(now - 1);
	ok(!lease_holds(&w), "a message that is read too late gives no lease");
	lease_watch(&w);
	ok(w.lapsed, "the log tells that the lease has lapsed");
	tell(0);
	ok(!lease_holds(&w) && w.lapsed, "a node without a lease gives none");
	tell(now + 60000);
	ok(lease_holds(&w) && !w.lapsed, "a renewed lease holds");
	failure_init(&f);
	is_int(lease_failure(&f), -1, "a request that was cut off has failed");
	ok(f.lapsed && f.class == CLASS_TRANSIENT, "by a lapsed lease, and may be tried again");
	return done_testing();
}
