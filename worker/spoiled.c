/*
 * Spoiled objects.
 */
#include "worker/spoiled.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "worker/checkpoint.h"
#include "worker/http.h"

#define SPOILED_REMOVE_MS 15000

int
spoiled_remove(struct worker *w, struct store *store, const char *bucket, const char *key, const char *etag, struct failure *f)
{
	int64_t deadline = clock_ms() + SPOILED_REMOVE_MS;
	enum store_op op = OP_HEAD;
	struct http_request r;
	int rc;

	for (;;) {
		http_prepare(&r, store, op);
		r.call.bucket = bucket;
		r.call.key = key;
		rc = http_insist(w, &r, deadline, f);
		http_release(&r);
		if (rc == -1 && r.status == 404)
			return 0;
		if (rc == -1 || op == OP_DELETE || strcmp(r.info.etag, etag) != 0)
			return rc;
		op = OP_DELETE;
	}
}

static int
remove_at_target(struct transfer *t, const char *etag, struct failure *f)
{
	failure_init(f);
	if (spoiled_remove(t->w, t->target.store, t->target.bucket, t->target.key, etag, f) == -1)
		return -1;
	log_info("task %" PRId64 ": what was spoiled at its destination is gone", t->task->id);
	checkpoint_unspoil(t, etag);
	return 0;
}

void
spoiled_leave(struct transfer *t)
{
	struct failure f;

	if (t->etag[0] == '\0') {
		log_error("task %" PRId64 ": the object at its destination is not what was sent, and has no ETag to know it by: "
			  "look at it by hand", t->task->id);
		return;
	}
	checkpoint_spoil(t, t->etag);
	if (remove_at_target(t, t->etag, &f) == -1)
		log_error("task %" PRId64 ": what was spoiled at its destination could not be removed: %s; will try again",
		    t->task->id, f.text);
}

int
spoiled_meet(struct transfer *t)
{
	const struct checkpoint *c = &t->checkpoint;
	struct failure f;

	if (c->spoiled[0] != '\0' && !c->spoiled_here)
		return checkpoint_abandon(t, c->spoiled); /* the reaper's */
	if (c->spoiled[0] == '\0' || remove_at_target(t, c->spoiled, &f) == 0)
		return 0;
	/* the new object takes its place */
	if (t->task->if_exists == IF_EXISTS_OVERWRITE)
		return 0;
	t->failure = f;
	snprintf(t->failure.text, sizeof(t->failure.text), "what an earlier attempt has spoiled there could not be removed: %.400s",
	    f.text);
	return -1;
}
