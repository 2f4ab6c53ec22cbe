/*
 * The end of a worker process: what ended it, and whose fault that was.
 */
#ifndef MASTER_EXITS_H
#define MASTER_EXITS_H

#include "master/master.h"

/* Judges the slot's process if it has ended.  Does not wait for its end. */
void exits_take(struct master *m, struct slot *slot);

#endif
