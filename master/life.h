/*
 * The phases of the daemon: starting, running, and the ways to end.
 */
#ifndef MASTER_LIFE_H
#define MASTER_LIFE_H

#include "master/ferryd.h"

/* The database has answered, or failed to, for the first time: whoever waits for the start is told. */
void life_started(struct master *m);

/* The start has failed: logs why, ends the loop with that exit code. */
void life_fail(struct master *m, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* TERM: workers hand back within the grace; a second time, they are killed at once. */
void life_stop(struct master *m);

/* QUIT: no new tasks; ends with the last worker. */
void life_drain(struct master *m);

/* Goes on to the next phase where it is time to. */
void life_run(struct master *m);
int64_t life_deadline(const struct master *m);

#endif
