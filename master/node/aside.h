/*
 * A connection for the lease alone.  It is opened when the first connection has not answered a
 * renewal in time, because a statement in front of it waits for a lock, and it renews the lease
 * until the first one answers.  An idle node has none.
 *
 * It is closed when the first connection fails, so that both always reach the same server.
 */
#ifndef MASTER_NODE_ASIDE_H
#define MASTER_NODE_ASIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "master/pool/lease.h"

struct db;
struct node;

struct aside {
	struct db *db; /* NULL: none */
	bool renewing; /* a renewal is under way over it */
	struct lease_ask ask;
	int64_t renew_at; /* the next renewal over it */
};

void aside_open(struct node *n);
void aside_close(struct node *n);

/* For the loop. */
int aside_fd(const struct node *n);
short aside_poll_events(const struct node *n);
bool aside_receive(struct node *n);
int64_t aside_deadline(const struct node *n);

#endif
