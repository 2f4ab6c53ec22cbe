/*
 * The pump.  It waits for whatever comes next (the channel, the database, libcurl's sockets, timers) and moves all of it
 * along, again and again, until the caller's condition holds.
 */
#ifndef WORKER_LOOP_H
#define WORKER_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "worker/worker.h"

/*
 * Asked after every turn, outside of all callbacks, so it may start, pause and end requests.  Returns true when what is
 * waited for has come.  May bring forward *wake, when to be asked again at the latest (clock_ms(), 0: never).
 */
typedef bool loop_condition(void *arg, int64_t *wake);

/*
 * Returns 0 when done(arg) holds; -1 when the work must be given up (worker_interrupted()); 1 when deadline has passed (0: none).
 */
int loop_wait(struct worker *w, loop_condition *done, void *arg, int64_t deadline);

/* The same for what has to be done even then (aborting, releasing): not interrupted, so a deadline is a must.  0 or 1. */
int loop_insist(struct worker *w, loop_condition *done, void *arg, int64_t deadline);

/* For loop_wait(): nothing but the deadline ends it (1), or an interruption (-1). */
bool loop_never(void *arg, int64_t *wake);

/* One turn without waiting, from inside long work.  Returns 0, or -1 when interrupted. */
int loop_yield(struct worker *w);

#endif
