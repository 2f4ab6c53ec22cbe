/*
 * When the next task is due, if none is due now.
 */
#ifndef MASTER_QUEUE_DUE_H
#define MASTER_QUEUE_DUE_H

#include "master/queue/queue.h"

/* Asks the database.  The answer goes into due.at. */
void due_ask(struct queue *q);

#endif
