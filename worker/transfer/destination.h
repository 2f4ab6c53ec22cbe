/*
 * The destination: what is there already, and what if_exists makes of that.
 */
#ifndef WORKER_TRANSFER_DESTINATION_H
#define WORKER_TRANSFER_DESTINATION_H

#include "worker/endpoint/object.h"
#include "worker/transfer/transfer.h"

/* Parses the task's destination.  Returns 0, or -1 with t->failure. */
int destination_init(struct transfer *t);

/*
 * The rule of verify = "none": with it, the destination is sent no HEAD, unless if_exists asks what
 * is there, or the answer to Complete does not show that there is an object.  So a key that may
 * write and not read is enough for stores whose answers name the object's ETag.
 */
bool destination_asks(const struct transfer *t);

/*
 * After an answer that made an object or began an upload: compares with the encryption that the
 * configuration asks for.  Returns 0, or -1 with a failure.
 */
int destination_check_encrypted(
    const struct transfer *t, const struct http_request *r, struct failure *f);

/*
 * Before anything is written: looks whether if_exists allows it.  maybe_ours: what is there may be
 * what this task has made, so it is no obstacle.  Returns 0, with outcome.skipped if the
 * object there stays, or -1.
 */
int destination_look(struct transfer *t, bool maybe_ours);

/* Sets the headers and metadata of the new object, from the source's and the task's. */
void destination_describe(struct transfer *t);

/*
 * Before an object is made with these headers and metadata: what of them the store does not take
 * fails the task, or is a warning, as the store's metadata_loss says.  Returns 0, with
 * outcome.warning, or -1 with t->failure.
 */
int destination_admit(struct transfer *t);

/* Frees what the destination holds. */
void destination_release(struct transfer *t);

/*
 * A conditional PUT of the whole object was refused because an object is there.  Returns 0 with
 * outcome.skipped, or -1.
 */
int destination_meet(struct transfer *t);

/*
 * True if the failure of a PUT or Complete says that an object is there, and if_exists forbids to
 * replace it.
 */
bool destination_is_taken(const struct transfer *t, const struct failure *f);

/*
 * A store may not know the condition that nothing is there, and refuse the request (Swift 2.30: 501
 * to a conditional PUT).  True if t->failure, of such a PUT or Complete, says so; then the failure
 * is cleared.  The worker keeps it in mind for the store, and logs it once.
 */
bool destination_lacks_condition(struct transfer *t, enum store_op op);

/*
 * True if the object must be an upload, however small it is: the task may not replace an object,
 * and the store knows no conditional PUT.
 */
bool destination_wants_upload(const struct transfer *t);

/* True if the store heeds the condition of a Complete.  An S3 store may ignore it: Ceph 16, 18.
 */
bool destination_judges_complete(const struct transfer *t);

/*
 * An object is there, and if_exists does not say overwrite.  Returns 0 with outcome.skipped, or -1
 * with the failure "destination exists".
 */
int destination_exists(struct transfer *t);

/* The name of a destination that is not a file. */
struct object_name destination_name(const struct transfer *t);

/* Prepares a request about the destination. */
void destination_prepare(const struct transfer *t, struct http_request *r, enum store_op op);

#endif
