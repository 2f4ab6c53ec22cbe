/*
 * The first request about a source that is to be carried whole: a GET of its beginning.  Its head pins the source, its body is the
 * beginning of the first part, so that an object of one part takes two requests in all.
 *
 * Where the body would be read in vain, source_open() asks instead: a HEAD.
 */
#ifndef WORKER_OPENING_H
#define WORKER_OPENING_H

#include <stdbool.h>

#include "worker/transfer.h"

/* True if the first part will be wanted from its first byte, as far as can be known before source and destination are. */
bool opening_is_wanted(const struct transfer *t);

/*
 * Starts the GET and waits for its head; the pin is in t->source then.  Returns 0, or -1 with t->failure or interrupted.
 * What comes of the body collects in t->opening until a pipe takes it over; without one (an empty object) there is none.
 */
int opening_run(struct transfer *t);

/*
 * Now and then while it waits for its pipe: no GET is left unread for longer than a server bears it.  What has come by then
 * stays, and another GET takes it up.
 */
void opening_watch(struct transfer *t, int64_t now);

/* Harmless if there is none. */
void opening_release(struct transfer *t);

#endif
