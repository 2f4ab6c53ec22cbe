/*
 * How long our lease is certain to hold, and telling the workers.
 *
 * The database judges the lease by its own clock, from the moment at which it renews our row.  We
 * asked before that moment, so until "asked plus lease" no other node can have our tasks.  The
 * margin that is taken off leaves time for requests that a worker has sent and that still travel.
 *
 * A worker writes to no store after the lease: see worker/session/lease.h.
 */
#ifndef MASTER_POOL_LEASE_H
#define MASTER_POOL_LEASE_H

#include <stdint.h>

struct pool;
struct slot;

struct lease {
	int64_t node; /* id of our row; 0: no row, so no worker starts */
	int64_t until; /* on clock_boot_ms(), without the margin; 0: lapsed */
	int64_t length; /* ms, as it was asked for last */
};

/* What a statement that makes or renews our row asks for.  Two may be under way. */
struct lease_ask {
	int64_t at; /* on clock_boot_ms() */
	int64_t length; /* ms */
};

/* A statement that makes or renews our row is about to be sent. */
struct lease_ask lease_ask(const struct pool *p);

/*
 * The database has made or renewed our row with that id, as it was asked.  An answer that comes
 * after that to a later question of the same length changes nothing.
 */
void lease_granted(struct pool *p, int64_t node, const struct lease_ask *ask);

/* Our row is gone. */
void lease_lapsed(struct pool *p);

/* Tells one worker. */
void lease_tell(const struct pool *p, struct slot *slot);

/* The length of the lease without its margin. */
int64_t lease_usable_ms(int64_t lease_ms);

#endif
