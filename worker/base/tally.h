/*
 * Requests to stores, counted until the master is told of them.
 */
#ifndef WORKER_BASE_TALLY_H
#define WORKER_BASE_TALLY_H

#include <stdbool.h>

#include "common/channel.h"

#define TALLY_MAX 64

struct tally {
	int n;
	struct msg_request list[TALLY_MAX];
};

/* Counts a request.  status: of HTTP, 0: no answer came.  What finds no place is not counted. */
void tally_add(struct tally *t, const char *store, enum request_op op, int status);

/* Fills in a message with some of the counts.  Returns false if there are none. */
bool tally_fill(const struct tally *t, struct msg_requests *msg);

/* The counts of the message have been sent. */
void tally_sent(struct tally *t, const struct msg_requests *msg);

#endif
