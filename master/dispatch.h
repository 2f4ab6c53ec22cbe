/*
 * The conversation with workers: tasks out, what they say in.
 */
#ifndef MASTER_DISPATCH_H
#define MASTER_DISPATCH_H

#include "master/ferryd.h"

/* Gives the task, from the heap and the slot's from now on, to an idle worker. */
void dispatch_task(struct master *m, struct slot *slot, struct task *task);

/* Sends the worker the task that it is to have next, slot->next.  And: that, or any, has become the slot's task. */
void dispatch_next(struct slot *slot);
void dispatch_begin(struct master *m, struct slot *slot, struct task *task);

/* Tells the worker that its task is cancelled, or no longer ours. */
void dispatch_cancel(struct slot *slot);
void dispatch_send_cancel(struct slot *slot, const struct task *task); /* of one that it has, in work or next */

/* Lets an idle worker clear away abandoned uploads. */
void dispatch_reap(struct slot *slot);

/* Takes in what the worker says, some of it at a time.  Returns true if there may be more. */
bool dispatch_receive(struct master *m, struct slot *slot);

#endif
