#include "worker/transfer/spoiled.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "worker/http/request.h"
#include "worker/store/etag.h"
#include "worker/event/call.h"
#include "worker/event/query.h"
#include "worker/transfer/checkpoint.h"
#include "worker/transfer/destination.h"
#include "worker/transfer/private.h"

#define REMOVE_MS 15000

/* Records the object even if the claim is revoked. */
static const struct db_stmt stmt_spoil = { "upload_spoil",
	"INSERT INTO ferry.upload (task, claim, upload_id, destination, source_size, source_etag, "
	"part_size, initiated, spoiled, first_claim) "
	"VALUES ($1, $2, $3, $4, $5, '', 0, true, true, $6) "
	"ON CONFLICT (task, upload_id) DO NOTHING",
	6 };

static void
record(struct transfer *t, const char *etag)
{
	struct failure f;
	struct query q;

	query_task(&q, &stmt_spoil, t);
	query_str(&q, etag);
	query_str(&q, t->task->destination);
	query_int(&q, t->size);
	query_int(&q, t->task->first_claim);
	query_insist(t->w, &q, NULL, NULL, &f);
}

/* The row is ours if this attempt has made it, or if we have its task. */
static const struct db_stmt stmt_unspoil = { "upload_unspoil",
	"DELETE FROM ferry.upload "
	"WHERE task = $1 AND upload_id = $3 AND spoiled AND (claim = $2 "
	"OR (task, first_claim) IN (SELECT id, first_claim FROM ferry.task "
	"WHERE id = $1 AND claim = $2 AND state = 'running'))",
	3 };

static void
forget(struct transfer *t, const char *etag)
{
	struct failure f;
	struct query q;

	query_task(&q, &stmt_unspoil, t);
	query_str(&q, etag);
	query_insist(t->w, &q, NULL, NULL, &f);
}

/*
 * HEAD, then DELETE if the ETag is still the same, on the condition that it is where the store
 * knows conditions: another program may put an object there in between.
 */
int
spoiled_remove(
    struct worker *w, const struct object_name *name, const char *etag, struct failure *f)
{
	int64_t deadline = clock_ms() + REMOVE_MS;
	enum store_op op = OP_HEAD;
	bool conditional = true;
	struct http_request r;
	bool same;
	int rc;

	for (;;) {
		object_prepare(name, &r, op);
		if (op == OP_DELETE && conditional)
			r.call.if_match = etag;
		rc = call_insist(w, &r, deadline, f);
		same = store_etag_is_same(r.info.etag, etag);
		http_release(&r);
		if (rc == -1 && http_says_absent(&r))
			return 0;
		if (rc == -1 && op == OP_DELETE && r.status == 412)
			return 0; /* another object is there */
		if (rc == -1 && op == OP_DELETE && r.status == 501 && conditional) {
			conditional = false;
			continue;
		}
		if (rc == -1 || op == OP_DELETE || !same)
			return rc;
		op = OP_DELETE;
	}
}

static int
remove_at_destination(struct transfer *t, const char *etag, struct failure *f)
{
	struct object_name name = destination_name(t);

	failure_init(f);
	if (spoiled_remove(t->w, &name, etag, f) == -1)
		return -1;
	task_log(t->task, LOG_INFO, ": the spoiled object at its destination is gone");
	forget(t, etag);
	return 0;
}

void
spoiled_leave(struct transfer *t)
{
	const char *etag = t->outcome.etag;
	struct failure f;

	if (etag[0] == '\0') {
		task_log(t->task, LOG_ERR,
		    ": the object at its destination is not what was sent, "
		    "and has no ETag to recognise it by: check it by hand");
		return;
	}
	record(t, etag);
	if (remove_at_destination(t, etag, &f) == -1)
		task_log(t->task, LOG_ERR,
		    ": the spoiled object at its destination could not be "
		    "removed: %s; will try again",
		    f.text);
}

void
spoiled_keep(struct transfer *t)
{
	const char *etag = t->outcome.etag;

	/* an earlier attempt may have recorded the same bytes */
	forget(t, etag);
	task_log(t->task, LOG_WARNING,
	    ": the object at its destination is not what was sent, and stays by keep_damaged; its "
	    "ETag is %s",
	    etag[0] != '\0' ? etag : "not known");
}

int
spoiled_meet(struct transfer *t)
{
	const struct checkpoint *c = &t->checkpoint;
	struct failure f;

	if (c->spoiled[0] == '\0')
		return 0;
	/* the task has another destination now: the reaper removes the object */
	if (!c->spoiled_here)
		return checkpoint_abandon(t, c->spoiled);
	if (remove_at_destination(t, c->spoiled, &f) == 0)
		return 0;
	/* the new object replaces the spoiled one */
	if (t->task->if_exists == IF_EXISTS_OVERWRITE)
		return 0;
	t->failure = f;
	/* other tasks need no right to remove */
	if (f.class == CLASS_CREDENTIALS && !f.certain)
		failure_blame(&t->failure, TROUBLE_OBJECT);
	snprintf(t->failure.text, sizeof(t->failure.text),
	    "the spoiled object of an earlier attempt could not be removed: %.400s", f.text);
	return -1;
}
