/*
 * The oldest transaction of the database's cluster.  As long as it is open no vacuum takes away what has died since, in any table:
 * a queue gets slower, and nothing of its own can help it.  So it is named, once, with what it costs.
 */
#ifndef MASTER_OLDEST_H
#define MASTER_OLDEST_H

#include "master/ferryd.h"

/* Looks if it is time to. */
void oldest_run(struct master *m);
int64_t oldest_deadline(const struct master *m);

#endif
