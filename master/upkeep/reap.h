/*
 * When abandoned uploads are reaped: at intervals, and sooner where an upload may have been
 * abandoned.  An idle worker does the reaping and nothing else meanwhile.
 */
#ifndef MASTER_UPKEEP_REAP_H
#define MASTER_UPKEEP_REAP_H

#include "master/upkeep/upkeep.h"

/* If reaping is due, gives it to an idle worker. */
void reap_assign(struct upkeep *u);

/* When to call that again; 0: not by the clock.  Once overdue, reaping waits for an idle worker. */
int64_t reap_deadline(const struct upkeep *u);

#endif
