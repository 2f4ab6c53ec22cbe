/*
 * The node's lease, as its workers see it.
 *
 * While the lease holds, no other node can have our task.  It lapses when the master is frozen or
 * cut off from the database, or when this process was frozen.  Then another node may have the task,
 * and nothing may leave us that changes a store: no part, no object, no Complete.  So the clock is
 * read before every send, requests under way are broken off (worker/http/fence.h), and the transfer
 * keeps its parts and waits.  Reading goes on.
 *
 * If a lapsed lease is renewed, no other node has had the task: one statement removes a node's row
 * and its claims together.  Then the transfer continues.  Otherwise the master sends CANCEL, or
 * exits.  A database that was restored may have the node's row and not the claims: the master looks
 * at the claims as soon as it is connected again, and sends CANCEL.
 */
#ifndef WORKER_SESSION_LEASE_H
#define WORKER_SESSION_LEASE_H

#include "worker/base/failure.h"
#include "worker/worker.h"

/* Takes the end of the lease that the master has sent. */
void lease_take(struct worker *w, const struct msg_lease *lease);

bool lease_holds(const struct worker *w);

/* When the lease lapses, on clock_ms(); 0 if it has lapsed or if no task is in work. */
int64_t lease_deadline(const struct worker *w);

/*
 * Sets the failure of a request that a lapsed lease has cut off.  It does not count as an attempt.
 * Returns -1.
 */
int lease_failure(struct failure *f);

/* Logs, once, that the lease has lapsed while a task is in work. */
void lease_watch(struct worker *w);

#endif
