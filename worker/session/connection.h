/*
 * This worker's connection to the database.  It is opened when a statement waits and the master
 * grants it, and closed after database_idle without a statement, or when the master wants it back:
 * master/pool/connections.h.  Statements wait in the handle meanwhile.
 *
 * After the master's exit nobody grants, and the task is to be handed back: it is opened at once.
 */
#ifndef WORKER_SESSION_CONNECTION_H
#define WORKER_SESSION_CONNECTION_H

#include "worker/base/failure.h"
#include "worker/worker.h"

/* Makes the handle, without a connection. */
void connection_open(struct worker *w);

/* Obeys the master, asks, closes and reports: in each turn of the loop. */
void connection_run(struct worker *w);

/* When connection_run() is due, on clock_ms(); 0: not by the clock. */
int64_t connection_deadline(const struct worker *w);

/* Whether the master says that no connection is to be had: work that needs one is given up. */
bool connection_is_denied(const struct worker *w);

/* Sets the failure of work that is given up.  Returns -1. */
int connection_failure(const struct worker *w, struct failure *f);

/* The work is over: if it was given up, the statements that wait are dropped.  A grant stays, so
 * that the master learns when a connection can be had again. */
void connection_settle(struct worker *w);

#endif
