/*
 * Whose turn is next, where the highest priority alone does not decide it.
 *
 * Between queues: if one of our queues has a weight, claims are divided by weights, in tasks.  Each
 * queue has a start: the tasks that it has had, divided by its weight.  The database gives out the
 * task with the earliest start (ferry.next_tasks() in the schema).  A queue that was empty gets no
 * credit for it.  Each node does so by itself; the shares of a fleet are the sums over its nodes.
 *
 * Within a queue: of FAIR_TURN tasks that are claimed, one is the task that has been starving
 * longest (ferry.queue.patience), whatever its priority.  A claim looks for starving tasks at most
 * once in FAIR_LOOK_MS, for all turns that have come together, so that the look costs the same
 * however many tasks there are.
 */
#ifndef MASTER_LIMITS_FAIR_H
#define MASTER_LIMITS_FAIR_H

#include "master/limits/limits.h"
#include "master/node/sqlarray.h"

#define FAIR_TURN 10
#define FAIR_LOOK_MS 1000

/* Appends the starts of the configuration's queues, in their order. */
void fair_list_starts(struct limits *l, struct sqlarray *starts);

/* How many starving tasks the next claim should look for; 0: none. */
int fair_turns(const struct limits *l);

/* The claim looks for n starving tasks. */
void fair_take_turns(struct limits *l, int n);

/* A claim has brought so many tasks. */
void fair_note_claimed(struct limits *l, int tasks);

/* Whether one of our queues has a weight. */
bool fair_has_weights(const struct limits *l);

/* Charges the queues of the configuration, in their order, with the tasks that a claim brought. */
void fair_charge(struct limits *l, const int *counts);

#endif
