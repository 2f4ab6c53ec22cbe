/*
 * An object at its destination that is not what was sent: the answer that made it, or a HEAD, says
 * so.  It must be removed, or the next reader takes it for a good one.  The
 * store may refuse to remove it, so a row remembers its ETag: for the task's next attempt, and for
 * the reaper once no attempt is left.
 */
#ifndef WORKER_TRANSFER_SPOILED_H
#define WORKER_TRANSFER_SPOILED_H

#include "worker/endpoint/object.h"
#include "worker/transfer/transfer.h"

/*
 * At the end of an attempt with outcome.spoiled: records the object with the ETag outcome.etag, and
 * tries to remove it.  t->failure stays as it was.
 */
void spoiled_leave(struct transfer *t);

/*
 * Likewise of an attempt that no other follows, if the store's keep_damaged says so: the object
 * stays, and neither an attempt nor the reaper removes it.
 */
void spoiled_keep(struct transfer *t);

/*
 * At the beginning of an attempt: removes the object that the checkpoint remembers.  Returns 0, or
 * -1 with t->failure: the object is still there, and if_exists does not let the new one replace it.
 */
int spoiled_meet(struct transfer *t);

/*
 * Removes the object if it still has that ETag.  Returns 0 if the object with that ETag is not
 * there, or -1 with *f.
 */
int spoiled_remove(
    struct worker *w, const struct object_name *name, const char *etag, struct failure *f);

#endif
