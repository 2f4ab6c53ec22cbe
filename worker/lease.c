/*
 * Owns worker.lease_until.
 */
#include <inttypes.h>

#include "common/clock.h"
#include "common/log.h"
#include "worker/lease.h"
#include "worker/loop.h"

bool
lease_holds(const struct worker *w)
{
	return clock_boot_ms() < w->lease_until;
}

void
lease_take(struct worker *w, const struct msg_lease *lease)
{
	w->lease_until = lease->until;
	if (!w->lapsed || !lease_holds(w))
		return;
	w->lapsed = false;
	if (w->has_task)
		log_info("task %" PRId64 ": the node's lease has been renewed; goes on", w->task.id);
}

int64_t
lease_deadline(const struct worker *w)
{
	int64_t left = w->lease_until - clock_boot_ms();

	return w->has_task && left > 0 ? clock_ms() + left : 0;
}

static bool
lease_is_back(void *arg, int64_t *wake)
{
	(void)wake;
	return lease_holds(arg);
}

int
lease_await(struct worker *w)
{
	return lease_holds(w) ? 0 : loop_wait(w, lease_is_back, w, 0);
}

int
lease_failure(struct failure *f)
{
	f->lapsed = true;
	return failure_set(f, CLASS_TRANSIENT, "the node's lease had run out");
}

void
lease_watch(struct worker *w)
{
	if (w->lapsed || !w->has_task || lease_holds(w))
		return;
	w->lapsed = true;
	log_warn("task %" PRId64 ": the node's lease has run out; nothing is written until it is renewed", w->task.id);
}
