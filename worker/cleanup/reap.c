/*
 * The statement that finds an upload also marks it abandoned, so that no task resumes it while it
 * is being aborted.  Its row is deleted when the store has confirmed that the upload is gone.
 */
#include "worker/cleanup/reap.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/uri.h"
#include "worker/base/memory.h"
#include "worker/session/session.h"
#include "worker/http/request.h"
#include "worker/event/call.h"
#include "worker/event/query.h"
#include "worker/endpoint/file.h"
#include "worker/endpoint/object.h"
#include "worker/transfer/spoiled.h"
#include "worker/cleanup/lost.h"

#define UPLOADS_MAX 50
#define LOOK_AGAIN_S 600 /* so young a row is worth another look before the next interval */
#define TIMEOUT_MS 30000

/*
 * Leaves out what was tried in the last minute, so that a run ends, and so that two nodes do not
 * reap the same upload.  The oldest comes first: lost.h.  A temporary file is left to its own host.
 * If no node lives on that host, any node may reap it: the directory may be shared.  A spoiled
 * object is left alone while a task runs for its destination: that task may be putting the right
 * one in its place.
 */
static const struct db_stmt stmt_find = { "reap_find",
	"WITH f AS MATERIALIZED (SELECT u.task, u.upload_id "
	"FROM ferry.upload u "
	"JOIN ferry.abandoned USING (task, upload_id) "
	"WHERE (u.reap_at IS NULL OR u.reap_at < now() - interval '1 minute') "
	"AND (u.host IS NULL OR u.host = $2 OR NOT EXISTS (SELECT FROM ferry.node n "
	"WHERE split_part(n.name, ' ', 1) = u.host AND n.renewed_at + n.lease >= now())) "
	"AND NOT (u.spoiled AND EXISTS (SELECT FROM ferry.task t "
	"WHERE t.state = 'running' AND (t.state = 'running') IS NOT FALSE "
	"AND ferry.object(t.destination_store, t.destination) "
	"= ferry.object(lower(split_part(u.destination, '://', 1)), u.destination))) "
	"ORDER BY u.reap_at NULLS FIRST "
	"LIMIT $1 "
	"FOR UPDATE OF u SKIP LOCKED), "
	"r AS (UPDATE ferry.upload u "
	"SET abandoned = true, reap_at = now() "
	"FROM f "
	"WHERE u.task = f.task AND u.upload_id = f.upload_id "
	"RETURNING u.*) "
	"SELECT task, upload_id, destination, nullif(host, $2), initiated, "
	"extract(epoch FROM now() - created_at)::bigint, spoiled, claim "
	"FROM r "
	"ORDER BY created_at, task, upload_id",
	2 };

enum find_column {
	FIND_TASK,
	FIND_UPLOAD_ID,
	FIND_DESTINATION,
	FIND_OTHER_HOST,
	FIND_INITIATED,
	FIND_AGE,
	FIND_SPOILED,
	FIND_CLAIM,
};

static const struct db_stmt stmt_delete = { "reap_delete",
	"DELETE FROM ferry.upload "
	"WHERE task = $1 AND claim = $2 AND upload_id = $3 AND abandoned",
	3 };

static const struct db_stmt stmt_failed = { "reap_failed",
	"UPDATE ferry.upload "
	"SET reap_error = $4 "
	"WHERE task = $1 AND claim = $2 AND upload_id = $3 AND abandoned",
	4 };

/* $1: when the master is to reap again: "" means at once, "later" means in a minute. */
static const struct db_stmt stmt_again = { "reap_again", "SELECT pg_notify('ferry_reap', $1)", 1 };

/* A row of ferry.upload. */
struct reaped {
	int64_t task;
	int64_t claim;
	char *upload_id; /* heap; of a spoiled object: its ETag */
	char *destination; /* heap */
	char *host; /* heap; NULL: this host can reap it */
	bool initiated;
	bool spoiled; /* not an upload, but an object: spoiled.h */
	int64_t age; /* seconds, when it was found */
};

struct reap_list {
	int n;
	int64_t found_at; /* clock_ms() */
	bool later; /* an upload is to be looked for again soon */
	struct reaped uploads[UPLOADS_MAX];
};

static void
take_uploads(void *arg, const PGresult *res)
{
	struct reap_list *list = arg;
	int row;

	for (row = 0; row < UPLOADS_MAX && row < PQntuples(res); row++) {
		list->uploads[row] = (struct reaped){
			.task = strtoll(PQgetvalue(res, row, FIND_TASK), NULL, 10),
			.upload_id = memory_strdup(PQgetvalue(res, row, FIND_UPLOAD_ID)),
			.destination = memory_strdup(PQgetvalue(res, row, FIND_DESTINATION)),
			.host = PQgetisnull(res, row, FIND_OTHER_HOST)
				    ? NULL
				    : memory_strdup(PQgetvalue(res, row, FIND_OTHER_HOST)),
			.initiated = PQgetvalue(res, row, FIND_INITIATED)[0] == 't',
			.age = strtoll(PQgetvalue(res, row, FIND_AGE), NULL, 10),
			.spoiled = PQgetvalue(res, row, FIND_SPOILED)[0] == 't',
			.claim = strtoll(PQgetvalue(res, row, FIND_CLAIM), NULL, 10),
		};
	}
	list->n = row;
}

static int
abort_file(const struct store *store, const struct uri *uri, const struct reaped *upload,
    struct failure *f)
{
	struct file file;
	int rc = -1;

	file_init(&file);
	if (file_open_dir(&file, &store->conf, uri->path, false, f) == -1)
		return -1;
	switch (file_resume_temp(&file, upload->upload_id, f)) {
	case FILE_FAILED:
		break;
	case FILE_FOUND:
		rc = file_abort(&file, f);
		break;
	case FILE_ABSENT:
		if (upload->host == NULL)
			rc = 0;
		else
			failure_set(f, CLASS_PERMANENT,
			    "it is not in this host's directory; %s, where it was made, runs no "
			    "ferryd",
			    upload->host);
	}
	file_release(&file);
	return rc;
}

/* Finds the id of an upload that may have been begun, and puts it into the row. */
static enum lost_found
identify(struct worker *w, const struct object_name *name, struct reaped *upload, struct failure *f)
{
	char upload_id[S3XML_UPLOAD_ID_MAX];
	struct lost lost = { .task = upload->task,
		.claim = upload->claim,
		.stand_in = upload->upload_id,
		.age = upload->age };
	enum lost_found found;

	if (upload->initiated)
		return LOST_FOUND;
	found = lost_resolve(w, name, &lost, upload_id, f);
	if (found == LOST_FOUND) {
		memory_free(upload->upload_id);
		upload->upload_id = memory_strdup(upload_id);
	}
	return found;
}

static int
abort_upload(
    struct worker *w, const struct object_name *name, const char *upload_id, struct failure *f)
{
	struct http_request r;
	int rc;

	object_prepare(name, &r, OP_ABORT);
	r.call.upload_id = upload_id;
	rc = call_insist(w, &r, clock_ms() + TIMEOUT_MS, f);
	if (rc == -1 && http_says_absent(&r))
		rc = 0;
	http_release(&r);
	return rc;
}

static int
abort_object(struct worker *w, struct store *store, const struct uri *uri, struct reaped *upload,
    struct failure *f)
{
	char bucket[URI_BUCKET_MAX], why[256];
	struct object_name name = { .store = store, .bucket = bucket };

	if (uri_split_bucket(uri, bucket, &name.key, why, sizeof(why)) == -1)
		return failure_set(f, CLASS_PERMANENT, "%s", why);
	if (upload->spoiled)
		return spoiled_remove(w, &name, upload->upload_id, f);
	switch (identify(w, &name, upload, f)) {
	case LOST_UNCERTAIN:
		return -1;
	case LOST_NONE:
		return 0;
	case LOST_FOUND:
		break;
	}
	return abort_upload(w, &name, upload->upload_id, f);
}

static int
reap(struct worker *w, struct reaped *upload, struct failure *f)
{
	struct store *store;
	struct uri uri;
	char why[256];

	if (uri_parse(&uri, upload->destination, why, sizeof(why)) == -1)
		return failure_set(f, CLASS_PERMANENT, "%s", why);
	if ((store = session_store(w, uri.store)) == NULL)
		return failure_set(
		    f, CLASS_PERMANENT, "there is no store \"%s\" in the configuration", uri.store);
	if (store->conf.kind == STORE_FILE)
		return abort_file(store, &uri, upload, f);
	return abort_object(w, store, &uri, upload, f);
}

/* The upload's id is not known yet, and time may tell. */
static bool
may_be_found_later(const struct reaped *upload, const struct failure *f)
{
	return !upload->initiated && f->class == CLASS_TRANSIENT && upload->age < LOOK_AGAIN_S;
}

/* why: NULL if it is gone. */
static void
log_reaped(const struct reaped *upload, const char *why)
{
	const char *what =
	    upload->spoiled ? "the spoiled object at its destination" : "its abandoned upload";
	char destination[URI_SHOWN];
	struct log_line line;

	if (why == NULL)
		log_begin(&line, LOG_INFO, "task %" PRId64 ": %s is gone", upload->task, what);
	else
		log_begin(&line, LOG_WARNING, "task %" PRId64 ": %s could not be %s: %s",
		    upload->task, what, upload->spoiled ? "removed" : "aborted", why);
	log_int(&line, "task", upload->task);
	log_str(&line, "destination",
	    uri_redact(destination, sizeof(destination), upload->destination));
	log_end(&line);
}

static void
reap_one(struct worker *w, struct reap_list *list, struct reaped *upload)
{
	struct failure f;
	struct query q;
	bool aborted;

	failure_init(&f);
	aborted = reap(w, upload, &f) == 0;
	if (!aborted && worker_interrupted(w))
		return;
	query_init(&q, aborted ? &stmt_delete : &stmt_failed);
	query_int(&q, upload->task);
	query_int(&q, upload->claim);
	query_str(&q, upload->upload_id);
	log_reaped(upload, aborted ? NULL : f.text);
	if (!aborted) {
		query_str(&q, f.text);
		list->later |= may_be_found_later(upload, &f);
	}
	query_insist(w, &q, NULL, NULL, &f);
}

static void
ask_again(struct worker *w, const char *when)
{
	struct failure f;
	struct query q;

	query_init(&q, &stmt_again);
	query_str(&q, when);
	query_insist(w, &q, NULL, NULL, &f);
}

void
reap_run(struct worker *w)
{
	struct reap_list *list = memory_alloc(sizeof(*list));
	struct failure f;
	struct query q;
	int i;

	query_init(&q, &stmt_find);
	query_int(&q, UPLOADS_MAX);
	query_str(&q, w->host);
	failure_init(&f);
	if (query_wait(w, &q, take_uploads, list, &f) == -1)
		list->n = 0;
	list->later = false;
	list->found_at = clock_ms();
	for (i = 0; i < list->n; i++) {
		list->uploads[i].age += (clock_ms() - list->found_at) / 1000;
		if (!worker_interrupted(w))
			reap_one(w, list, &list->uploads[i]);
		memory_free(list->uploads[i].upload_id);
		memory_free(list->uploads[i].destination);
		memory_free(list->uploads[i].host);
	}
	if (list->later && !worker_interrupted(w))
		ask_again(w, "later");
	/* the list was full: there may be more */
	if (list->n == UPLOADS_MAX && !worker_interrupted(w))
		ask_again(w, "");
	memory_free(list);
}
