/*
 * Tasks that are claimed and that no worker has yet, so that a worker which becomes idle gets its next one without a round trip
 * to the database.  Only short tasks are worth that: there is a stock only while each worker ends at least one task in a tenth of a
 * second, as many as the pool ends in that time.  So a huge object never has others wait behind it on this node.
 *
 * None is held for more than a second, nor while a limit or a throttled store has to be looked at for each task, nor once this
 * node ends or its lease has lapsed: what is held then goes back to the queue, in one statement.
 */
#ifndef MASTER_STOCK_H
#define MASTER_STOCK_H

#include "master/ferryd.h"
#include "master/sqlarray.h"

#define STOCK_MAX 1024
#define STOCK_HOLD_MS 1000

void stock_init(struct master *m);

/* A worker has ended a task. */
void stock_note_end(struct master *m);

/* How many more are worth claiming now, beyond what idle workers take. */
int stock_wish(const struct master *m);

/* Takes over a claimed task, from the heap.  Hands out the oldest one; NULL if there is none. */
void stock_put(struct master *m, struct task *task);
struct task *stock_take(struct master *m);

/* Forgets a task whose claim is stale. */
void stock_drop(struct master *m, int64_t task, int64_t claim);

/* Gives back all; what has been held too long, or may not be held any more. */
void stock_release(struct master *m);
void stock_run(struct master *m);
int64_t stock_deadline(const struct master *m);

/* Appends the tasks and claims of what is held; workers, if not NULL, gets as many zeros. */
void stock_list(const struct master *m, struct sqlarray *ids, struct sqlarray *claims, struct sqlarray *workers);

void stock_discard(struct master *m);

#endif
