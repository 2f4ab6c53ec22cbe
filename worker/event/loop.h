/*
 * The loop.  In each turn it waits for the channel, the database, libcurl's sockets and timers, and
 * moves all of them along.  It turns until the caller's condition holds.
 */
#ifndef WORKER_EVENT_LOOP_H
#define WORKER_EVENT_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "worker/worker.h"

/*
 * A condition, asked before every turn and outside of all callbacks, so that it may start, pause
 * and end requests.  Returns true if it holds.  It may bring forward *wake, the time (clock_ms(),
 * 0: never) when it must be asked again at the latest.
 */
typedef bool loop_condition(void *arg, int64_t *wake);

/* How a wait has ended. */
enum loop_end {
	LOOP_INTERRUPTED = -1, /* the step must be given up: worker_interrupted() */
	LOOP_DONE, /* the condition holds */
	LOOP_DEADLINE, /* the deadline has passed */
};

/* Waits until done(arg) holds, or until deadline (clock_ms(), 0: none), or is interrupted. */
enum loop_end loop_wait(struct worker *w, loop_condition *done, void *arg, int64_t deadline);

/*
 * For the clean-up of interrupted work: like loop_wait(), but is not interrupted, so deadline must
 * not be 0.
 */
enum loop_end loop_insist(struct worker *w, loop_condition *done, void *arg, int64_t deadline);

/* A condition that never holds: for waiting until a deadline. */
bool loop_never(void *arg, int64_t *wake);

/* Waits until the lease holds: LOOP_DONE or LOOP_INTERRUPTED. */
enum loop_end loop_await_lease(struct worker *w);

/* Makes one turn without waiting, for long computations.  Returns 0, or -1 if interrupted. */
int loop_yield(struct worker *w);

#endif
