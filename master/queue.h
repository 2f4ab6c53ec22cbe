/*
 * This node in the database: its connection, its row and lease.
 */
#ifndef MASTER_QUEUE_H
#define MASTER_QUEUE_H

#include "master/ferryd.h"

/* Makes the handle and starts to connect.  Never fails. */
void queue_open(struct master *m);

/* Renews the lease, looks after the others'. */
void queue_run(struct master *m);
int64_t queue_deadline(const struct master *m);

/* Sets up the planner for our statements: the first that a new connection of the master is given. */
void queue_set_planner(struct db *db);

/* Logs a refusal of the database, once an outage. */
void queue_log_error(struct master *m, const char *what, const PGresult *res);

void queue_close(struct master *m);

#endif
