/*
 * The node's lease, as its workers keep it.
 *
 * While it holds, nobody else can have our task.  When it has run out (the master is frozen, or cut off from the database; or we
 * have been frozen ourselves) somebody may, and nothing may leave us that changes a store: no part, no object, no Complete.  So
 * the clock is looked at before every send, requests that are under way are broken off, and the transfer keeps what it has
 * and waits.  Reading goes on.
 *
 * A lease that is renewed after it has run out was never given to anybody else: the node's row goes in the same statement as its
 * claims.  Then the transfer goes on.  Else the master says CANCEL, or is gone.
 */
#ifndef WORKER_LEASE_H
#define WORKER_LEASE_H

#include "worker/failure.h"
#include "worker/worker.h"

/* The master has said until when. */
void lease_take(struct worker *w, const struct msg_lease *lease);

bool lease_holds(const struct worker *w);

/* When it runs out, on clock_ms(); 0 if it has, or if that is nobody's concern now. */
int64_t lease_deadline(const struct worker *w);

/* Waits until it holds.  Returns 0, or -1 when interrupted. */
int lease_await(struct worker *w);

/* The failure of what it has cut off: no fault of the other side, and not counted as a try.  Returns -1. */
int lease_failure(struct failure *f);

/* Says so in the log, once, when it has run out on a task in work. */
void lease_watch(struct worker *w);

#endif
