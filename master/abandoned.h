/*
 * When abandoned uploads are looked for: by the interval, and sooner where one may have been left behind.  The look itself is a
 * worker's, which has nothing else to do meanwhile.
 */
#ifndef MASTER_ABANDONED_H
#define MASTER_ABANDONED_H

#include "master/ferryd.h"

/* If it is time to, and a worker is idle, it gets that to do.  Overdue, it waits for one to become so, not for the clock. */
void abandoned_run(struct master *m);
bool abandoned_is_due(const struct master *m);
int64_t abandoned_deadline(const struct master *m);

/* An upload may have been left behind.  By a task that was cancelled: what its worker has not cleared away counts as left after a minute. */
void abandoned_soon(struct master *m);
void abandoned_after_cancel(struct master *m);

/* Somebody asks for it. */
void abandoned_now(struct master *m);

#endif
