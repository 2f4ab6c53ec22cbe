/*
 * Deletes tasks that ended longer ago than "retention" says, in batches that take a tenth of the
 * time at most.  A task whose upload may still be at a destination stays until that is aborted.
 */
#ifndef MASTER_UPKEEP_PRUNE_H
#define MASTER_UPKEEP_PRUNE_H

#include "master/upkeep/upkeep.h"

/* Deletes a batch if that is due. */
void prune_run(struct upkeep *u);
int64_t prune_deadline(const struct upkeep *u);

#endif
