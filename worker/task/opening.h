/*
 * Opens a source by a GET of its beginning.  The head of the answer pins the source, and the body
 * is the beginning of the first part, so that an object of one part takes two requests in all.
 *
 * If the body may not be needed, source_open() asks by HEAD instead.
 */
#ifndef WORKER_TASK_OPENING_H
#define WORKER_TASK_OPENING_H

#include <stdbool.h>

#include "worker/transfer/transfer.h"

/* True if the first part will be needed, as far as is known before source and destination are. */
bool opening_is_wanted(const struct transfer *t);

/*
 * Starts the GET, waits for its head and pins t->source.  The body collects in t->opening until a
 * pipe takes it over; after an empty or unsized source there is none.  Returns 0, or -1 with
 * t->failure or interrupted.
 */
int opening_run(struct transfer *t);

/*
 * To be called now and then until a pipe takes over.  Ends a GET that has been paused for longer
 * than servers bear.  The bytes so far stay; another GET continues.
 */
void opening_watch(struct transfer *t, int64_t now);

/* Ends the GET and drops its bytes, if there is one. */
void opening_release(struct transfer *t);

#endif
