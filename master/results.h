/*
 * Tasks that are done and whose rows do not say so yet.  Workers report and go on to their next task; what has come since the
 * last statement is settled by the next one, all of it at once, one such statement at a time: the busier the pool, the more rows
 * share a commit.  A task counts as done, and the log says so, when that commit is answered.
 *
 * The claim fences each row of such a statement by itself.  While the database is away results wait here; if the master is killed
 * meanwhile their rows return to the queue with its lease, and the successor finds what is there already.
 */
#ifndef MASTER_RESULTS_H
#define MASTER_RESULTS_H

#include "master/ferryd.h"
#include "master/sqlarray.h"

#define RESULTS_MAX 2048 /* that may wait: with more than that no task is given out */

void results_init(struct master *m);

/* The slot's worker says that its task is done (or skipped): takes it over. */
void results_add(struct master *m, const struct slot *slot, const struct msg_result *result);

/* Settles what has come if it is time to. */
void results_run(struct master *m);
int64_t results_deadline(const struct master *m);

/* There is no second connection any more: what went over it and was not answered has to go again.  Its row knows if it need not. */
void results_second_closed(struct master *m);

/* So many wait that no more may come. */
bool results_are_full(const struct master *m);

/* How many are not settled; appends their tasks and claims, which are running and which no worker has. */
int results_count(const struct master *m);
void results_list(const struct master *m, struct sqlarray *ids, struct sqlarray *claims);

void results_discard(struct master *m);

#endif
