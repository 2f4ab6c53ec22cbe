/*
 * The task's checkpoint in the database: its upload, the parts that are done, the size, a spoiled
 * object.  Each write names our claim.  If the claim is revoked, the write changes nothing and sets
 * w->revoked, which ends the transfer.
 *
 * Statements go out in order.  Functions that do not wait are marked so; a later function that
 * waits returns after their statements have taken effect.  All others return 0, or -1 with
 * t->failure or interrupted.
 */
#ifndef WORKER_TRANSFER_CHECKPOINT_H
#define WORKER_TRANSFER_CHECKPOINT_H

#include <stdint.h>

#include "worker/transfer/transfer.h"

/* Loads t->checkpoint. */
int checkpoint_load(struct transfer *t);

/* Loads the parts of the checkpoint's upload: visit is called once for each. */
typedef void checkpoint_part_visit(
    struct transfer *t, int number, int64_t size, uint64_t crc64, const char *etag);
int checkpoint_load_parts(struct transfer *t, checkpoint_part_visit *visit);

/* Records the size and how much is done, for people that look at the row.  Does not wait. */
void checkpoint_total(struct transfer *t);

/*
 * True if the checkpoint's upload was begun for the source as it is now, and for the same way: a
 * copied part has no CRC64, so an upload never has both copied and sent parts.
 */
bool checkpoint_is_of_source(const struct transfer *t);

/* What stands for the id of the upload that this attempt begins, until the store has told the id.
 */
#define CHECKPOINT_STAND_IN_SIZE 48
const char *checkpoint_stand_in(const struct transfer *t, char stand_in[CHECKPOINT_STAND_IN_SIZE]);

/*
 * Records that an upload is about to be begun.  initiated: we have chosen upload_id.  Else
 * upload_id is a stand-in until checkpoint_initiated() replaces it by t->upload_id.
 */
int checkpoint_begin(struct transfer *t, const char *upload_id, bool initiated);
int checkpoint_initiated(struct transfer *t, const char *stand_in);

/* Records that part number is done.  Does not wait. */
void checkpoint_part(struct transfer *t, int number);

/* Records that Complete is about to be sent. */
int checkpoint_intend(struct transfer *t);

/* Records that the upload must not be resumed: before it is aborted. */
int checkpoint_abandon(struct transfer *t, const char *upload_id);

/* Deletes the record of an upload that is gone. */
int checkpoint_forget(struct transfer *t, const char *upload_id);

/*
 * The following wait also when interrupted, but not beyond a stop's deadline.
 */

/* Deletes the record of an upload that is gone, when the task is cancelled. */
void checkpoint_forget_cancelled(struct transfer *t, const char *upload_id);

#endif
