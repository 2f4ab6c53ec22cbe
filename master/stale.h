/*
 * Tasks of ours that were cancelled, or that others have by now: workers are told to drop them, and what is claimed ahead is not
 * given out.  The same look writes into the row which worker has a task that was claimed ahead.
 */
#ifndef MASTER_STALE_H
#define MASTER_STALE_H

#include "master/ferryd.h"

/* Looks if it is time to. */
void stale_run(struct master *m);
int64_t stale_deadline(const struct master *m);

#endif
