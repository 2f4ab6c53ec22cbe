#include "worker/session/lease.h"

#include <inttypes.h>

#include "common/base/clock.h"
#include "common/base/log.h"

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
		task_log(&w->task, LOG_INFO,
		    ": the node's lease has been renewed; the transfer continues");
}

int64_t
lease_deadline(const struct worker *w)
{
	int64_t left = w->lease_until - clock_boot_ms();

	return w->has_task && left > 0 ? clock_ms() + left : 0;
}

int
lease_failure(struct failure *f)
{
	f->lapsed = true;
	failure_set(f, CLASS_TRANSIENT, "the node's lease had lapsed");
	return failure_blame(f, TROUBLE_NODE);
}

void
lease_watch(struct worker *w)
{
	if (w->lapsed || !w->has_task || lease_holds(w))
		return;
	w->lapsed = true;
	task_log(&w->task, LOG_WARNING,
	    ": the node's lease has lapsed; nothing is written until it is renewed");
}
