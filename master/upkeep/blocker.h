/*
 * The oldest transaction of the database's cluster.  While it is open no vacuum removes rows that
 * died since it began, in any table.  A queue gets slower, and nothing in ferryd can help it.  So
 * that transaction is logged, once, with what it costs.
 */
#ifndef MASTER_UPKEEP_BLOCKER_H
#define MASTER_UPKEEP_BLOCKER_H

#include "master/upkeep/upkeep.h"

/* Looks for it if that is due. */
void blocker_run(struct upkeep *u);
int64_t blocker_deadline(const struct upkeep *u);

#endif
