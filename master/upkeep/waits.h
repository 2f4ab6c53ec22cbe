/*
 * Tasks that wait, and why: ferry.waits() gives the reasons, and the log of one node of the fleet
 * says each of them.
 */
#ifndef MASTER_UPKEEP_WAITS_H
#define MASTER_UPKEEP_WAITS_H

#include "master/upkeep/upkeep.h"

/* Asks for the reasons if that is due. */
void waits_run(struct upkeep *u);
int64_t waits_deadline(const struct upkeep *u);

#endif
