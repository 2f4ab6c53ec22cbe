/*
 * An object that is at its destination and is not what was sent: a single PUT, or a copy by the store itself, of which the answer says
 * so.  It has to go, or whoever comes next would take it for a good one; and as the store may refuse even that, a row remembers
 * it: for the task's next attempt, and for the reaper once no attempt is left.
 */
#ifndef WORKER_SPOILED_H
#define WORKER_SPOILED_H

#include "worker/transfer.h"

/* The attempt ends, t->spoiled: records the object of ETag t->etag, and tries to remove it.  t->failure stays what it was. */
void spoiled_leave(struct transfer *t);

/*
 * The attempt begins: what the checkpoint remembers is removed.  Returns 0, or -1 with t->failure: it is still there, and if_exists
 * has no way around it.
 */
int spoiled_meet(struct transfer *t);

/* Removes the object if its ETag is still that one.  Returns 0 if it is not there any more, or -1 with *f. */
int spoiled_remove(struct worker *w, struct store *store, const char *bucket, const char *key, const char *etag, struct failure *f);

#endif
