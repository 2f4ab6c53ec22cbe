/*
 * The reaper.  An upload is marked abandoned in the statement that finds it, so that no task takes it up while it is being
 * aborted; its row goes when the store has confirmed that it is gone.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/uri.h"
#include "worker/file.h"
#include "worker/http.h"
#include "worker/intent.h"
#include "worker/memory.h"
#include "worker/query.h"
#include "worker/reap.h"
#include "worker/session.h"
#include "worker/spoiled.h"

#define REAP_MAX 50
#define REAP_TIMEOUT_MS 30000

/*
 * What was tried a minute ago has to wait, so that one run comes to an end and two nodes do not do the same.  A temporary file is
 * its own host's, or anybody's once no node lives there: the directory may be shared.
 */
static const struct db_stmt stmt_find = { "reap_find",
	"WITH f AS MATERIALIZED (SELECT u.task, u.upload_id FROM ferry.upload u JOIN ferry.abandoned USING (task, upload_id) "
	"WHERE (u.reap_at IS NULL OR u.reap_at < now() - interval '1 minute') AND (u.host IS NULL OR u.host = $2 OR NOT EXISTS "
	"(SELECT FROM ferry.node n WHERE split_part(n.name, ' ', 1) = u.host AND n.renewed_at + n.lease >= now())) "
	"ORDER BY u.reap_at NULLS FIRST LIMIT $1 FOR UPDATE OF u SKIP LOCKED) "
	"UPDATE ferry.upload u SET abandoned = true, reap_at = now() FROM f WHERE u.task = f.task AND u.upload_id = f.upload_id "
	"RETURNING u.task, u.upload_id, u.destination, nullif(u.host, $2), u.initiated, "
	"extract(epoch FROM now() - u.created_at)::bigint, u.spoiled", 2 };

static const struct db_stmt stmt_delete = { "reap_delete",
	"DELETE FROM ferry.upload WHERE task = $1 AND upload_id = $2 AND abandoned", 2 };

static const struct db_stmt stmt_failed = { "reap_failed",
	"UPDATE ferry.upload SET reap_error = $3 WHERE task = $1 AND upload_id = $2 AND abandoned", 3 };

static const struct db_stmt stmt_more = { "reap_more", "SELECT pg_notify('ferry_reap', '')", 0 };

struct reap_upload {
	int64_t task;
	char *upload_id;
	char *destination;
	char *host; /* NULL: not bound to one, or ours */
	bool initiated;
	bool spoiled; /* no upload, but an object: spoiled.h */
	int64_t age; /* seconds, when it was found */
};

struct reap_list {
	int n;
	int64_t found_at;
	struct reap_upload uploads[REAP_MAX];
};

static void
take_uploads(void *arg, const PGresult *res)
{
	struct reap_list *list = arg;

	for (list->n = 0; list->n < REAP_MAX && list->n < PQntuples(res); list->n++) {
		list->uploads[list->n] = (struct reap_upload){
			.task = strtoll(PQgetvalue(res, list->n, 0), NULL, 10),
			.upload_id = memory_strdup(PQgetvalue(res, list->n, 1)),
			.destination = memory_strdup(PQgetvalue(res, list->n, 2)),
			.initiated = PQgetvalue(res, list->n, 4)[0] == 't',
			.age = strtoll(PQgetvalue(res, list->n, 5), NULL, 10),
			.spoiled = PQgetvalue(res, list->n, 6)[0] == 't',
			.host = PQgetisnull(res, list->n, 3) ? NULL : memory_strdup(PQgetvalue(res, list->n, 3)),
		};
	}
}

static int
reap_file(const struct store *store, const struct uri *uri, const struct reap_upload *upload, struct failure *f)
{
	struct file file;
	int rc;

	file_init(&file);
	if (file_open_dir(&file, &store->conf, uri->path, false, f) == -1)
		return -1;
	rc = file_resume_temp(&file, upload->upload_id, f);
	if (rc == 0)
		rc = file_abort(&file, f);
	else if (rc == 1 && upload->host != NULL)
		rc = failure_set(f, CLASS_PERMANENT, "it is not in this host's directory; %s, where it was made, runs no ferryd",
		    upload->host);
	file_release(&file);
	return rc == -1 ? -1 : 0;
}

/* Its id in the row, if only the intention to begin it is known.  Returns as intent_resolve(). */
static int
reap_identify(struct worker *w, struct store *store, const struct http_request *r, struct reap_upload *upload, struct failure *f)
{
	char upload_id[S3XML_UPLOAD_ID_MAX];
	struct intent intent = { .task = upload->task, .stand_in = upload->upload_id, .destination = upload->destination,
		.age = upload->age };
	int rc;

	if (upload->initiated)
		return 1;
	rc = intent_resolve(w, store, r->call.bucket, r->call.key, &intent, upload_id, f);
	if (rc == 1) {
		memory_free(upload->upload_id);
		upload->upload_id = memory_strdup(upload_id);
	}
	return rc;
}

static int
reap_object(struct worker *w, struct store *store, const struct uri *uri, struct reap_upload *upload, struct failure *f)
{
	char bucket[URI_BUCKET_MAX], why[256];
	struct http_request r;
	int rc;

	http_prepare(&r, store, OP_ABORT);
	if (uri_split_bucket(uri, bucket, sizeof(bucket), &r.call.key, why, sizeof(why)) == -1)
		return failure_set(f, CLASS_PERMANENT, "%s", why);
	r.call.bucket = bucket;
	if (upload->spoiled)
		return spoiled_remove(w, store, bucket, r.call.key, upload->upload_id, f);
	if ((rc = reap_identify(w, store, &r, upload, f)) != 1)
		return rc;
	r.call.upload_id = upload->upload_id;
	rc = http_insist(w, &r, clock_ms() + REAP_TIMEOUT_MS, f);
	if (rc == -1 && r.status == 404)
		rc = 0;
	http_release(&r);
	return rc;
}

static int
reap_abort(struct worker *w, struct reap_upload *upload, struct failure *f)
{
	struct store *store;
	struct uri uri;
	char why[256];

	if (uri_parse(&uri, upload->destination, why, sizeof(why)) == -1)
		return failure_set(f, CLASS_PERMANENT, "%s", why);
	if ((store = session_store(w, uri.store)) == NULL)
		return failure_set(f, CLASS_PERMANENT, "there is no store \"%s\" in the configuration", uri.store);
	if (store->conf.kind == STORE_FILE)
		return reap_file(store, &uri, upload, f);
	return reap_object(w, store, &uri, upload, f);
}

static void
reap_one(struct worker *w, struct reap_upload *upload)
{
	struct failure f;
	struct query q;
	const char *what = upload->spoiled ? "what was spoiled at its destination" : "its abandoned upload";
	bool aborted;

	failure_init(&f);
	aborted = reap_abort(w, upload, &f) == 0;
	if (!aborted && worker_interrupted(w))
		return;
	query_init(&q, aborted ? &stmt_delete : &stmt_failed);
	query_int(&q, upload->task);
	query_str(&q, upload->upload_id);
	if (aborted) {
		log_info("task %" PRId64 ": %s is gone", upload->task, what);
	} else {
		log_warn("task %" PRId64 ": %s could not be %s: %s", upload->task, what, upload->spoiled ? "removed" : "aborted", f.text);
		query_str(&q, f.text);
	}
	query_insist(w, &q, NULL, NULL, &f);
}

/* A full list may not be all. */
static void
reap_ask_again(struct worker *w)
{
	struct failure f;
	struct query q;

	query_init(&q, &stmt_more);
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
	query_int(&q, REAP_MAX);
	query_str(&q, w->host);
	failure_init(&f);
	if (query_wait(w, &q, take_uploads, list, &f) == -1)
		list->n = 0;
	list->found_at = clock_ms();
	for (i = 0; i < list->n; i++) {
		list->uploads[i].age += (clock_ms() - list->found_at) / 1000;
		if (!worker_interrupted(w))
			reap_one(w, &list->uploads[i]);
		memory_free(list->uploads[i].upload_id);
		memory_free(list->uploads[i].destination);
		memory_free(list->uploads[i].host);
	}
	if (list->n == REAP_MAX && !worker_interrupted(w))
		reap_ask_again(w);
	memory_free(list);
}
