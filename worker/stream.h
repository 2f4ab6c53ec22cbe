/*
 * Sources that do not say how long they are.  A store wants to know the length of what it is sent, so each part is collected in
 * memory before it goes out: a buffer of one part, as large as the memory cap allows, and one stream.
 */
#ifndef WORKER_STREAM_H
#define WORKER_STREAM_H

#include "worker/transfer.h"

/* Plans, moves and finishes.  Returns 0 or -1. */
int stream_run(struct transfer *t);

#endif
