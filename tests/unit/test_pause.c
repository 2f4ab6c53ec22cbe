/*
 * When a turn of the loop tells that the process did not run.
 */
#include "master/os/pause.h"

#include "tests/unit/tap.h"

#define BOOT 900000
#define AWAKE 500000

static void
test_turns(void)
{
	struct pause p = { 0 };

	is_int(pause_turn(&p, BOOT, AWAKE), 0, "the first turn tells nothing");
	is_int(pause_deadline(&p), AWAKE + PAUSE_TURN_MS, "the next has to come within a second");
	is_int(pause_turn(&p, BOOT + 1003, AWAKE + 1003), 0, "a turn in time is no pause");
	is_int(pause_turn(&p, BOOT + 6900, AWAKE + 6900), 0, "a busy machine is none");
	is_int(pause_turn(&p, BOOT + 49900, AWAKE + 49900), 42000, "a stopped process is one");
	is_int(pause_turn(&p, BOOT + 49900, AWAKE + 49900), 0, "and is told once");
	is_int(pause_turn(&p, BOOT + 110900, AWAKE + 50900), 60000, "a machine that slept is one");
}

int
main(void)
{
	test_turns();
	return done_testing();
}
