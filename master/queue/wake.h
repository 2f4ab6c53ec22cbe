/*
 * When a claim follows the news that there may be tasks.
 *
 * Each INSERT wakes every node, and one node at most finds the task.  So a wake soon after another
 * waits a little, for more that come meanwhile, and nodes take turns.  A node that finds tasks
 * leads: for a second it claims at once.  Any other node leaves a pause between two such claims,
 * which is longer the more nodes there are, so that all of them together ask as often as one would.
 * When the leader has led for its time, or has no idle worker left, the node whose pause ends first
 * takes over.  A node that is alone claims at once.
 *
 * This is about idle workers only.  A worker that becomes idle claims without a wake.
 */
#ifndef MASTER_QUEUE_WAKE_H
#define MASTER_QUEUE_WAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "master/queue/queue.h"

/* Puts a claim on the agenda if one is due for a wake. */
void wake_run(struct queue *q);
int64_t wake_deadline(const struct queue *q);

/* A claim is about to be submitted: it sees what wakes until now were about.  Returns whether it is
 * for a wake. */
bool wake_take(struct queue *q);

/* A claim that was for a wake is over. */
void wake_note(struct queue *q, bool found);

/* When the claim for a wake of this moment is due, on clock_ms(), beside so many other nodes. */
int64_t wake_due(const struct wake *w, int others, int64_t now);

#endif
