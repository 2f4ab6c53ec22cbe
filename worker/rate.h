/*
 * A token bucket: bytes a second for one store, or for the queue of the task in work.  Spending may go into debt (a chunk is moved
 * whole), and then waiting is due until the debt is paid; a new limit does not forgive it.
 */
#ifndef WORKER_RATE_H
#define WORKER_RATE_H

#include <stddef.h>
#include <stdint.h>

struct rate {
	int64_t limit; /* bytes a second, 0: none */
	double tokens;
	int64_t filled_at; /* clock_ms() */
};

void rate_set(struct rate *rate, int64_t limit, int64_t now);

/* When the next byte may move, on clock_ms(): 0 for at once. */
int64_t rate_wait(struct rate *rate, int64_t now);

/* How many of so many bytes to move at once, so that what moves is smooth: no less than a few KiB. */
size_t rate_portion(const struct rate *rate, size_t wanted);

void rate_spend(struct rate *rate, int64_t bytes);

#endif
