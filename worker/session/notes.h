/*
 * What the master is told besides the tasks: the times that stores state, and until when their
 * certificates are valid.
 */
#ifndef WORKER_SESSION_NOTES_H
#define WORKER_SESSION_NOTES_H

#include "worker/worker.h"

/*
 * A store's answer bears a Date, which was this many seconds ahead of our clock.  The master is
 * told the first of each store, and later ones that differ from what it was told.
 */
void notes_clock(struct worker *w, struct store *store, int64_t ahead_s);

/*
 * A connection to a store was made, whose certificate is valid until then, in seconds since 1970.
 * The master is told what differs from what it was told.
 */
void notes_certificate(struct worker *w, struct store *store, int64_t expires);

#endif
