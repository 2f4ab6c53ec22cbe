/*
 * Limits that hold over all nodes: how many transfers at once, how many bytes a second, of a store or of a queue.
 *
 * Each node writes into ferry.node_store what its configuration says of its stores; of a store the smallest limit holds that a
 * live node states.  Those of queues are columns of ferry.queue.  The database tells which hold (the view ferry.limits), says
 * so when they change (NOTIFY ferry_limit), and keeps to max_transfers itself, in ferry.claim().  The rates are divided here:
 * see shares.h.
 */
#ifndef MASTER_QUOTA_H
#define MASTER_QUOTA_H

#include "master/ferryd.h"

/* Our row is there, or the configuration is another: says what ours says, and asks what holds. */
void quota_state(struct master *m);

/* Limits, or what uses them, have changed somewhere. */
void quota_changed(struct master *m);

/* The connection is gone: what was known may not be true any more. */
void quota_forget(struct master *m);

/* Whether a claim has to look at limits or weights: something that we serve has one, or may have one.  The limits alone. */
bool quota_limits_claims(const struct master *m);
bool quota_limits_transfers(const struct master *m);

/* The limit that holds on the slot's use number i (enum slot_use_of), or NULL.  rate is that of our own configuration where it is less. */
const struct quota *quota_find(const struct master *m, const struct slot *slot, int i);

/* The slot's task is over, and so its row says: nodes that wait for room under a limit should know.  Or: some task's is. */
void quota_leave(struct master *m, const struct slot *slot);
void quota_made_room(struct master *m);

/* Asks if it is time to. */
void quota_run(struct master *m);
int64_t quota_deadline(const struct master *m);

#endif
