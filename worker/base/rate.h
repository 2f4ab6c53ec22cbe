/*
 * A token bucket for the bytes a second of one store, or of the task's queue.  A chunk is moved
 * whole, so that spending may lead to debt.  Then nothing moves until the debt is paid.  A new
 * limit keeps the debt.
 */
#ifndef WORKER_BASE_RATE_H
#define WORKER_BASE_RATE_H

#include <stddef.h>
#include <stdint.h>

struct rate {
	int64_t limit; /* bytes a second, 0: none */
	double tokens; /* bytes that may move now; negative: debt */
	int64_t filled_at; /* clock_ms() */
};

/* Sets the limit, bytes a second; 0 for none. */
void rate_set(struct rate *rate, int64_t limit, int64_t now);

/* Returns when the next byte may move (clock_ms()), or 0 for at once. */
int64_t rate_wait(struct rate *rate, int64_t now);

/* How many of wanted bytes to move at once for a smooth flow. */
size_t rate_portion(const struct rate *rate, size_t wanted);

/* Takes the tokens for bytes that have moved. */
void rate_spend(struct rate *rate, int64_t bytes);

#endif
