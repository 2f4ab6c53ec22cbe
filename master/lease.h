/*
 * Until when our lease is good, as far as we can be sure, and telling the workers.
 *
 * The database judges the lease by its own clock, from the moment at which it renews our row.  That is not before we asked; so
 * until we asked plus the lease, no other node can have our tasks.  A margin is taken off that, for what has left a worker
 * by then and is still on its way.
 *
 * A worker writes to no store beyond that moment, whatever has become of us: see worker/lease.h.
 */
#ifndef MASTER_LEASE_H
#define MASTER_LEASE_H

#include "master/ferryd.h"

/* The row is about to be made or renewed; it was; it is gone. */
void lease_asked(struct master *m);
void lease_granted(struct master *m);
void lease_lapsed(struct master *m);

/* Tells one worker. */
void lease_tell(const struct master *m, struct slot *slot);

/* The lease without its margin. */
int64_t lease_usable_ms(int64_t lease_ms);

#endif
