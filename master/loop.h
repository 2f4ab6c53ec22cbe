/*
 * The one poll() of the master.
 */
#ifndef MASTER_LOOP_H
#define MASTER_LOOP_H

#include "master/master.h"

/* Runs until the phase is PHASE_GONE. */
void loop_run(struct master *m);

#endif
