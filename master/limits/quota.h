/*
 * Limits that hold over all nodes: how many transfers at once, how many bytes a second, of a store
 * or of a queue.
 *
 * Each node writes the limits of its configuration into ferry.node_store; of a store the smallest
 * limit holds that a live node states.  The limits of queues are columns of ferry.queue.  The view
 * ferry.limits tells which limits hold, and NOTIFY ferry_limit tells that they have changed.
 * ferry.claim() keeps to max_transfers.  shares.h divides the rates.
 */
#ifndef MASTER_LIMITS_QUOTA_H
#define MASTER_LIMITS_QUOTA_H

#include "master/limits/limits.h"

/*
 * Writes the limits and queues of our configuration and asks for the limits that hold.  Call when
 * our row is there, and after a reload.
 */
void quota_declare(struct limits *l);

/* The connection is gone: the quotas may change unseen. */
void quota_forget(struct limits *l);

/* Whether a claim has to look at limits or weights: there are some, or there may be some. */
bool quota_limits_claims(const struct limits *l);

/* The same without the weights. */
bool quota_limits_transfers(const struct limits *l);

/*
 * The quota on the slot's use number i (enum slot_use_of), or NULL.  Its rate is that of our own
 * configuration where that is less.
 */
const struct quota *quota_find(const struct limits *l, const struct slot *slot, int i);

/* The slot's task is over, and its row says so: nodes that wait under its limits are notified. */
void quota_task_over(struct limits *l, const struct slot *slot);

/* Notifies nodes that wait under a limit that a task has ended. */
void quota_notify_room(struct limits *l);

/* Asks for the quotas if that is due. */
void quota_run(struct limits *l);
int64_t quota_deadline(const struct limits *l);

#endif
