/*
 * The task that a busy worker has beside the one in work: with it, it goes on at once when that is over, where it would have to wait
 * until the master has read its word and answered.  It comes out of stock.c's, so only while tasks end in quick succession
 * and nothing is limited, and is asked back by nobody: a worker that is longer at work returns it, one that ends without
 * having begun it has never had it.  A worker says that its task is over before it begins the next, so that it is certain at
 * each moment which of the two is in work.
 */
#ifndef MASTER_PREFETCH_H
#define MASTER_PREFETCH_H

#include "master/ferryd.h"
#include "master/sqlarray.h"

/* Gives busy workers what they may have. */
void prefetch_run(struct master *m);

/* The worker goes on with it: the slot's task from now on. */
void prefetch_begun(struct master *m, struct slot *slot);

/* The worker does not want it, or is gone: somebody else's, unless it was cancelled. */
void prefetch_returned(struct master *m, struct slot *slot);

/* Has it returned if it is that one, or whichever it is: it is cancelled, or no longer ours. */
void prefetch_cancel(struct slot *slot, int64_t task, int64_t claim);
void prefetch_lapsed(struct slot *slot);

/* Adds them to the lists. */
void prefetch_list(const struct master *m, struct sqlarray *ids, struct sqlarray *claims, struct sqlarray *workers);

#endif
