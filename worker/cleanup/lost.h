/*
 * Finds an upload whose id was lost: a row says that Initiate was about to be sent, and no worker
 * has read the answer.
 *
 * The store lists the open uploads of exactly that key.  Ours was begun within two minutes of the
 * row, by the store's own clock; no row knows its id; and it has no parts, since parts are sent
 * only after the id is in the row.  If more uploads match than such rows exist, or if a task is
 * about to begin an upload there, nothing is touched.
 *
 * If several rows of the key have lost their ids, the oldest row goes first, and takes the oldest
 * upload that matches.  So a younger row never takes away the only upload that fits an older row,
 * and no upload is left over that fits no row.
 */
#ifndef WORKER_CLEANUP_LOST_H
#define WORKER_CLEANUP_LOST_H

#include "worker/base/failure.h"
#include "worker/endpoint/object.h"
#include "worker/worker.h"

/* The row. */
struct lost {
	int64_t task;
	int64_t claim;
	const char *stand_in; /* its upload_id until the real one is known */
	int64_t age; /* seconds since the row was made */
};

enum lost_found {
	LOST_UNCERTAIN = -1, /* with a failure */
	LOST_NONE, /* no such upload exists, nor can one appear */
	LOST_FOUND,
};

/* Looks for the upload.  If found, puts its id into the row and into upload_id. */
enum lost_found lost_resolve(struct worker *w, const struct object_name *name,
    const struct lost *lost, char upload_id[S3XML_UPLOAD_ID_MAX], struct failure *f);

#endif
