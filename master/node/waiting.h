/*
 * What keeps this node from claiming tasks: no connection, a schema that does not fit, a row that
 * the database refuses.
 */
#ifndef MASTER_NODE_WAITING_H
#define MASTER_NODE_WAITING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct node;

/* Writes what the node waits for and what would mend it, as a sentence.  False: it does not wait.
 */
bool waiting_for(const struct node *n, char *text, size_t size);

/* Logs that sentence once a minute.  The first time it is logged where it is found out. */
void waiting_run(struct node *n);
int64_t waiting_deadline(const struct node *n);

#endif
