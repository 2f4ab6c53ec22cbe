/*
 * A token bucket: bytes a second for one store.  Spending may go into debt (a chunk is moved whole), and then waiting is
 * due until the debt is paid.
 */
#ifndef WORKER_RATE_H
#define WORKER_RATE_H

#include <stdint.h>

struct rate {
	int64_t limit; /* bytes a second, 0: none */
	int64_t tokens;
	int64_t filled_at; /* clock_ms() */
};

void rate_set(struct rate *rate, int64_t limit, int64_t now);

/* When the next byte may move, on clock_ms(): 0 for at once. */
int64_t rate_wait(struct rate *rate, int64_t now);

void rate_spend(struct rate *rate, int64_t bytes);

#endif
