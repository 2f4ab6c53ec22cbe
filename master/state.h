/*
 * What every part of the master may read: the configuration in force, the phase, the agenda, the
 * figures.
 * main.c and reload.c write the configuration, phase.c the phase.  Each folder has a context of its
 * own, which points here.
 */
#ifndef MASTER_STATE_H
#define MASTER_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/config/config.h"
#include "common/figures.h"
#include "master/agenda.h"

/* STARTING -> RUNNING -> (DRAINING ->) (STOPPING ->) LEAVING -> GONE; see phase.h */
enum phase {
	PHASE_STARTING, /* until the database has answered, or failed to, for the first time */
	PHASE_RUNNING,
	PHASE_DRAINING, /* QUIT: no new claims, each worker ends after its task */
	PHASE_STOPPING, /* TERM: workers hand back; the master kills them after the grace */
	PHASE_LEAVING, /* no workers are left: the last statements */
	PHASE_GONE, /* the loop ends */
};

struct state {
	struct config *conf;
	uint64_t conf_generation; /* rises when workers have to be replaced */
	bool foreground; /* the log stays on standard error */
	enum phase phase;
	struct agenda agenda;
	struct figures figures; /* every part adds to its counts; gather.c says how things stand */
};

/* No worker starts and no task is claimed any more. */
static inline bool
state_is_ending(const struct state *s)
{
	return s->phase >= PHASE_DRAINING;
}

#endif
