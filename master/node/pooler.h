/*
 * Asks whether a pooler in front of the database lets each connection keep its server: backends.h.
 * The second connection lasts as long as the question.  A pooler that has no server left for it is
 * taken for one that lets them keep.
 */
#ifndef MASTER_NODE_POOLER_H
#define MASTER_NODE_POOLER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/db/backends.h"

struct db;
struct node;

struct pooler {
	struct db *db; /* the second connection; NULL: nothing is asked */
	struct backends backends;
	int64_t until; /* the question ends then, on clock_ms() */
};

/* Asks.  The first connection is up. */
void pooler_ask(struct node *n);

/* If the question has just been answered, returns the answer and closes the second connection. */
enum backends_verdict pooler_take(struct node *n);

void pooler_close(struct node *n);

/* For the loop. */
int pooler_fd(const struct node *n);
short pooler_poll_events(const struct node *n);
bool pooler_receive(struct node *n);
int64_t pooler_deadline(const struct node *n);

#endif
