/*
 * The end of the history: tasks that ended longer ago than "retention" says are deleted, a thousand at a time and a tenth of the
 * time at most.  What still has an upload at a destination stays until that is aborted.
 */
#ifndef MASTER_PRUNE_H
#define MASTER_PRUNE_H

#include "master/ferryd.h"

/* Deletes some if it is time to. */
void prune_run(struct master *m);
int64_t prune_deadline(const struct master *m);

#endif
