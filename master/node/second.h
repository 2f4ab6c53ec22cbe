/*
 * A second connection to the database, for settling tasks while the first one claims the next ones.
 * It is optional.  It is opened while batches are large; it is closed when they are not, when it
 * fails, and when the first connection fails, so that both always reach the same server.  A batch
 * that it did not answer is sent again over the first connection.
 */
#ifndef MASTER_NODE_SECOND_H
#define MASTER_NODE_SECOND_H

#include <stdbool.h>
#include <stdint.h>

struct db;
struct node;

struct second {
	struct db *db; /* NULL: none */
	int generation; /* rises when the connection is closed */
	bool failed;
	int64_t not_before; /* no new connection until then, after a failure */
	int64_t idle_at; /* it is closed then, unless there are large batches */
};

/* A batch of so many rows has just been sent. */
void second_note_batch(struct node *n, int rows);

/* The handle if it can be used now, else NULL. */
struct db *second_db(const struct node *n);

/* Differs from an earlier value if the connection has been closed since. */
int second_generation(const struct node *n);

/* For the loop. */
int second_fd(const struct node *n);
short second_poll_events(const struct node *n);
bool second_receive(struct node *n);
void second_run(struct node *n);
int64_t second_deadline(const struct node *n);

void second_close(struct node *n);

#endif
