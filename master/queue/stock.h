/*
 * Tasks that are claimed ahead and that no worker has yet.  A worker that becomes idle gets its
 * next task from here, without a round trip to the database.  Only short tasks are worth that:
 * there is a stock only while the pool ends at least one task per worker in a tenth of a second,
 * and it holds as many tasks as the pool ends in that time.  So a huge object never has other tasks
 * wait behind it on this node.
 *
 * A task is held for a second at most.  None is held while a limit or a throttled store has to be
 * looked at for each task, nor once this node ends or its lease has lapsed.  What may not be held
 * is requeued in one statement.
 */
#ifndef MASTER_QUEUE_STOCK_H
#define MASTER_QUEUE_STOCK_H

#include "master/queue/held.h"
#include "master/queue/queue.h"

#define STOCK_MAX 1024
#define STOCK_HOLD_MS 1000

void stock_init(struct queue *q);

/* A worker has ended a task. */
void stock_note_end(struct queue *q);

/* How many more tasks are worth claiming now, beyond those for idle workers. */
int stock_wish(const struct queue *q);

/* Takes over a claimed task, which is on the heap. */
void stock_put(struct queue *q, struct task *task);

/* Hands over the oldest task; NULL if there is none. */
struct task *stock_take(struct queue *q);

/* Forgets a task whose claim is revoked. */
void stock_drop(struct queue *q, int64_t task, int64_t claim);

/* Requeues all tasks. */
void stock_release(struct queue *q);

/* Requeues the tasks that have been held too long, or that may not be held any more. */
void stock_run(struct queue *q);
int64_t stock_deadline(const struct queue *q);

void stock_walk(const struct queue *q, held_visit *visit, void *arg);

/* Forgets all tasks: their rows return to the queue with the lease. */
void stock_discard(struct queue *q);

#endif
