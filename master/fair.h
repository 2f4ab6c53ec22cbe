/*
 * Who is to be next, where that is not simply the highest priority.
 *
 * Between queues: where one of those that we serve has a weight, claims are divided by weights, in tasks.  Each queue has a start,
 * the share that it has had, in tasks divided by its weight; the database gives out what begins earliest by it (see
 * ferry.next_tasks() in the schema).  A queue that had nothing to give begins anew where the others are: it saves nothing up.
 * Each node does so by itself, so that a fleet's shares are those of its nodes.
 *
 * Within a queue: of FAIR_TURN tasks that are claimed, one is to be the one that has been starving longest (ferry.queue.patience),
 * whatever its priority.  That is looked for at most once in FAIR_LOOK_MS, for as many turns as have come together, so that it
 * costs the same however many tasks there are.
 */
#ifndef MASTER_FAIR_H
#define MASTER_FAIR_H

#include "master/ferryd.h"
#include "master/sqlarray.h"

#define FAIR_TURN 10
#define FAIR_LOOK_MS 1000

/* The starts of the configuration's queues, in their order. */
void fair_list_starts(struct master *m, struct sqlarray *starts);

/* How many tasks the next claim should look for among the starving; it does so.  0: none. */
int fair_turns(const struct master *m);
void fair_take_turns(struct master *m, int n);

/* What a claim has brought. */
void fair_charge(struct master *m, const PGresult *res);

#endif
