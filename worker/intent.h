/*
 * Uploads that may have been begun: a row says that Initiate was about to be sent, and nobody lived to read the answer.
 *
 * The store is asked what is open at exactly that key.  Ours is an upload that was begun within two minutes of the row, by the
 * store's own clock; that no row knows by its id; and that has no parts, since parts are sent only after the id is in its row.
 * Where more answer to that than there are such rows, or a task is about to begin another one there, nothing is touched.
 */
#ifndef WORKER_INTENT_H
#define WORKER_INTENT_H

#include "worker/failure.h"
#include "worker/store.h"
#include "worker/worker.h"

struct intent {
	int64_t task;
	const char *stand_in; /* the row's upload_id until the real one is known */
	const char *destination;
	int64_t age; /* seconds since the row was made */
};

/*
 * Finds the upload and puts its id into the row and into upload_id.  Returns 1, 0 if there is none (any more), or -1 with the
 * reason why that cannot be said.
 */
int intent_resolve(struct worker *w, struct store *store, const char *bucket, const char *key, const struct intent *intent,
    char upload_id[S3XML_UPLOAD_ID_MAX], struct failure *f);

#endif
