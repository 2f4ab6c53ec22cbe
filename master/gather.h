/*
 * Gathers how this node stands, and gives the figures to the exporter once a second.
 */
#ifndef MASTER_GATHER_H
#define MASTER_GATHER_H

#include "master/master.h"

void gather_run(struct master *m);
int64_t gather_deadline(const struct master *m);

#endif
