/*
 * Owns what ps(1) and systemctl(1) show of the master.
 */
#include "master/title.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/notify.h"
#include "master/pool.h"

static const char *
phase_suffix(const struct master *m)
{
	if (m->phase == PHASE_DRAINING)
		return ", draining";
	if (m->phase > PHASE_DRAINING)
		return ", stopping";
	return m->queue.link == LINK_DOWN ? ", database away" : "";
}

void
title_update(const struct master *m)
{
	static int shown_workers = -1, shown_busy = -1;
	static const char *shown_suffix;
	int workers = pool_count_live(m), busy = pool_count_busy(m);
	const char *suffix = phase_suffix(m), *plural = workers == 1 ? "" : "s";

	if (workers == shown_workers && busy == shown_busy && suffix == shown_suffix)
		return;
	shown_workers = workers;
	shown_busy = busy;
	shown_suffix = suffix;
	setproctitle("master, %d worker%s, %d busy%s", workers, plural, busy, suffix);
	notify_status("%d worker%s, %d busy%s", workers, plural, busy, suffix);
}
