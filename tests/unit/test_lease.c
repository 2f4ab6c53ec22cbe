/*
 * The lease from both sides: what the master takes off it, and what a worker makes of what it is told.
 */
#include "common/clock.h"
#include "common/log.h"
#include "master/lease.h"
#include "tests/unit/tap.h"
#include "worker/lease.h"

static struct worker w;

static void
tell(int64_t until)
{
	struct msg_lease lease = { .until = until };

	lease_take(&w, &lease);
}

int
main(void)
{
	struct failure f;
	int64_t now = clock_boot_ms();

	log_init("test_lease", -1);
	log_set_max_priority(LOG_EMERG);
	is_int(lease_usable_ms(2000), 1750, "of a short lease an eighth is taken off");
	is_int(lease_usable_ms(3600000), 3598000, "of a long one two seconds");

	ok(!lease_holds(&w), "a worker that was told nothing has no lease");
	is_int(lease_deadline(&w), 0, "and waits for no end of it");
	w.has_task = true;
	tell(now + 60000);
	ok(lease_holds(&w), "one that was told has");
	ok(lease_deadline(&w) > clock_ms() + 50000 && lease_deadline(&w) <= clock_ms() + 60000, "until then");
	is_int(lease_await(&w), 0, "it need not wait");
	tell(now - 1);
	ok(!lease_holds(&w), "one that reads it late has not");
	lease_watch(&w);
	ok(w.lapsed, "it is said once");
	tell(0);
	ok(!lease_holds(&w) && w.lapsed, "nor when the node has lost it");
	tell(now + 60000);
	ok(lease_holds(&w) && !w.lapsed, "a new one is as good");
	failure_init(&f);
	is_int(lease_failure(&f), -1, "what was cut off has failed");
	ok(f.lapsed && f.class == CLASS_TRANSIENT, "by no fault of the other side");
	return done_testing();
}
