/*
 * The phases of the daemon: starting, running, and the ways to end.
 */
#ifndef MASTER_PHASE_H
#define MASTER_PHASE_H

#include "master/master.h"

/* The database has answered, or failed to: the first time ends the start, and tells the starter. */
void phase_started(struct master *m);

/* The start has failed: logs why, and ends the loop with that exit code. */
void phase_fail(struct master *m, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* TERM: workers hand back within the grace.  The second time they are killed at once. */
void phase_stop(struct master *m);

/* QUIT: no new tasks.  The master ends with the last worker. */
void phase_drain(struct master *m);

/* Goes on to the next phase if that is due. */
void phase_run(struct master *m);
int64_t phase_deadline(const struct master *m);

#endif
