#include "master/title.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/node/waiting.h"
#include "master/os/notify.h"

static const char *
phase_suffix(const struct master *m)
{
	if (m->state.phase == PHASE_DRAINING)
		return ", draining";
	if (m->state.phase > PHASE_DRAINING)
		return ", stopping";
	if (m->node.link == LINK_DOWN)
		return ", database away";
	return m->node.refused[0] != '\0' ? ", database not usable" : "";
}

/* Tells the service manager, which shows more than a title has room for. */
static void
tell_status(const struct master *m, bool changed)
{
	static char shown[NODE_REFUSED_MAX + 64];
	char text[NODE_REFUSED_MAX + 64] = "";
	int workers = pool_count_live(&m->pool);

	if (!state_is_ending(&m->state))
		waiting_for(&m->node, text, sizeof(text));
	if (!changed && strcmp(text, shown) == 0)
		return;
	strlcpy(shown, text, sizeof(shown));
	notify_status("%s%s%d worker%s, %d busy%s", text, text[0] != '\0' ? "; " : "", workers,
	    workers == 1 ? "" : "s", pool_count_busy(&m->pool), phase_suffix(m));
}

void
title_update(const struct master *m)
{
	static int shown_workers = -1, shown_busy = -1;
	static const char *shown_suffix;
	int workers = pool_count_live(&m->pool), busy = pool_count_busy(&m->pool);
	const char *suffix = phase_suffix(m), *plural = workers == 1 ? "" : "s";
	bool changed = workers != shown_workers || busy != shown_busy || suffix != shown_suffix;

	tell_status(m, changed);
	if (!changed)
		return;
	shown_workers = workers;
	shown_busy = busy;
	shown_suffix = suffix;
	setproctitle("master, %d worker%s, %d busy%s", workers, plural, busy, suffix);
}
