/*
 * Abandoned uploads: known by id from the checkpoint table, aborted, forgotten.  Nobody else's are touched.
 */
#ifndef WORKER_REAP_H
#define WORKER_REAP_H

#include "worker/worker.h"

/* Aborts some of what no live task owns; the next call takes the next ones. */
void reap_run(struct worker *w);

#endif
