/*
 * The reaper: aborts uploads that no live task owns, and removes spoiled objects.  It knows them by
 * their rows, and touches nothing else.
 */
#ifndef WORKER_CLEANUP_REAP_H
#define WORKER_CLEANUP_REAP_H

#include "worker/worker.h"

/* Reaps some uploads.  If there may be more, wakes the master to ask again. */
void reap_run(struct worker *w);

#endif
