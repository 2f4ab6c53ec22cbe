/*
 * All that a worker writes to and reads from the database about its task.  Every write names the claim and changes nothing
 * if that is stale; to learn so sets w->stale, and the transfer is dropped.
 *
 * Statements go out in order.  Those about finished parts are not waited for; whoever waits for a later one knows that
 * they are in.
 */
#ifndef WORKER_CHECKPOINT_H
#define WORKER_CHECKPOINT_H

#include <libpq-fe.h>
#include <stdint.h>

#include "worker/transfer.h"

/* The upload that is open for the task, and the object that it has spoiled, if there are.  Returns 0, or -1 (failure or interrupted), as all that wait. */
int checkpoint_load(struct transfer *t);

/* Its parts, one call each; those that cannot be are left out by the caller. */
typedef void checkpoint_part_visit(struct transfer *t, int number, int64_t size, uint64_t crc64, const char *etag);
int checkpoint_load_parts(struct transfer *t, checkpoint_part_visit *visit);

/* The size and what is there of it, for whoever looks at the row.  Not waited for. */
void checkpoint_total(struct transfer *t);

/*
 * An upload is about to be begun: its row comes first, so that nothing is ever there that no row knows.  upload_id is final if
 * we choose it (initiated), else a stand-in until checkpoint_initiated() puts t->upload_id in its place.
 */
int checkpoint_begin(struct transfer *t, const char *upload_id, bool initiated);
int checkpoint_initiated(struct transfer *t, const char *intent);

/* Part number is finished.  Not waited for. */
void checkpoint_part(struct transfer *t, int number);

/* Complete is about to be sent. */
int checkpoint_intend(struct transfer *t);

/* The upload is not to be resumed: before it is aborted.  And: it is gone. */
int checkpoint_abandon(struct transfer *t, const char *upload_id);
int checkpoint_forget(struct transfer *t, const char *upload_id);

/*
 * The object of that ETag at the destination is not what was sent: recorded, whoever has the claim by now.  And: it is gone.  Wait for the
 * database also when interrupted, but not beyond a stop's deadline.
 */
void checkpoint_spoil(struct transfer *t, const char *etag);
void checkpoint_unspoil(struct transfer *t, const char *etag);

enum checkpoint_owner { OWNER_US, OWNER_CANCELLED, OWNER_OTHER, OWNER_UNKNOWN };

/* Whose the row is; waits for the answer also when interrupted, but not beyond a stop's deadline. */
enum checkpoint_owner checkpoint_ask(struct transfer *t);

/* Deletes a cancelled task's checkpoint. */
void checkpoint_forget_cancelled(struct transfer *t, const char *upload_id);

/*
 * Settle the row; wait for the database as long as it takes, but not beyond a stop's deadline.
 * Return OWNER_US if it is settled, OWNER_OTHER if the claim is stale, OWNER_UNKNOWN if time ran out.
 */
enum checkpoint_owner checkpoint_settle_done(struct transfer *t, int64_t peak);
enum checkpoint_owner checkpoint_settle_retry(struct transfer *t, int64_t peak);
enum checkpoint_owner checkpoint_settle_failed(struct transfer *t, int64_t peak);
enum checkpoint_owner checkpoint_release(struct transfer *t);

#endif
