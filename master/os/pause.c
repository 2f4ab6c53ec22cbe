#include "master/os/pause.h"

#include <inttypes.h>

#include "common/base/log.h"

int64_t
pause_turn(struct pause *p, int64_t boot, int64_t now)
{
	int64_t pause = boot - p->boot_at - PAUSE_TURN_MS, awake = now - p->at - PAUSE_TURN_MS;
	struct pause before = *p;

	*p = (struct pause){ .boot_at = boot, .at = now };
	if (before.boot_at == 0 || pause < PAUSE_MIN_MS)
		return 0;
	log_warn("this node did not run for %" PRId64 " s (%s)", (pause + PAUSE_TURN_MS / 2) / 1000,
	    awake < pause / 2 ? "its machine slept" : "stopped, or its machine was");
	return pause;
}

int64_t
pause_deadline(const struct pause *p)
{
	return p->at + PAUSE_TURN_MS;
}
