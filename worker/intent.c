/*
 * Finding what an unanswered Initiate has begun.
 */
#include "worker/intent.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "worker/http.h"
#include "worker/query.h"

#define INTENT_TIMEOUT_MS 30000
#define INTENT_BEFORE_S 2    /* Date counts whole seconds */
#define INTENT_AFTER_S 120   /* Initiate is sent at once; a server that begins it later than that is not waited for */
#define INTENT_SETTLED_S 150 /* the row's age from which on nothing can appear any more */

/* A row that waits for its answer now, and rows like ours from about the same time. */
static const struct db_stmt stmt_rivals = { "intent_rivals",
	"SELECT count(*) FILTER (WHERE NOT u.abandoned AND t.id IS NOT NULL), "
	"count(*) FILTER (WHERE (u.abandoned OR t.id IS NULL) "
	"AND abs(extract(epoch FROM now() - u.created_at) - $2) <= $3) "
	"FROM ferry.upload u LEFT JOIN ferry.task t ON t.id = u.task AND t.state IN ('queued', 'running') "
	"WHERE NOT u.initiated AND u.destination = $1", 3 };

static const struct db_stmt stmt_known = { "intent_known",
	"SELECT count(*), 0 FROM ferry.upload WHERE upload_id = $1", 1 };

static const struct db_stmt stmt_adopt = { "intent_adopt",
	"WITH u AS (UPDATE ferry.upload SET upload_id = $3, initiated = true, abandoned = true "
	"WHERE task = $1 AND upload_id = $2 AND NOT initiated RETURNING task) SELECT count(*), 0 FROM u", 3 };

struct counts {
	int64_t first;
	int64_t second;
};

static void
take_counts(void *arg, const PGresult *res)
{
	struct counts *counts = arg;

	counts->first = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
	counts->second = strtoll(PQgetvalue(res, 0, 1), NULL, 10);
}

/* Returns 1 if it has none, 0 if it has or is gone, -1. */
static int
intent_is_bare(struct worker *w, const struct http_request *list, const char *upload_id, struct failure *f)
{
	struct http_request r;
	int rc;

	http_prepare(&r, list->store, OP_LIST_PARTS);
	r.call.bucket = list->call.bucket;
	r.call.key = list->call.key;
	r.call.upload_id = upload_id;
	rc = http_insist(w, &r, clock_ms() + INTENT_TIMEOUT_MS, f);
	if (rc == -1 && r.status == 404) {
		failure_init(f);
		rc = 0;
	} else if (rc == 0) {
		rc = r.xml.root == S3XML_LIST_PARTS && r.xml.nparts == 0;
	}
	http_release(&r);
	return rc;
}

static int
intent_is_known(struct worker *w, const char *upload_id, struct failure *f)
{
	struct counts counts = { 0, 0 };
	struct query q;

	query_init(&q, &stmt_known);
	query_str(&q, upload_id);
	if (query_wait(w, &q, take_counts, &counts, f) == -1)
		return -1;
	return counts.first > 0;
}

/* How many uploads of the list may be ours; the first of them in *found.  -1 with a failure. */
static int
intent_count(struct worker *w, const struct http_request *list, int64_t begun, const struct s3xml_upload **found,
    struct failure *f)
{
	const struct s3xml_upload *u;
	int i, n = 0, rc;

	for (i = 0; i < list->xml.nuploads; i++) {
		u = &list->xml.uploads[i];
		if (strcmp(u->key, list->call.key) != 0 || u->initiated < begun - INTENT_BEFORE_S ||
		    u->initiated > begun + INTENT_AFTER_S)
			continue;
		if ((rc = intent_is_known(w, u->id, f)) == 0)
			rc = intent_is_bare(w, list, u->id, f) == 1 ? 1 : f->class != CLASS_NONE ? -1 : 0;
		else if (rc == 1)
			rc = 0;
		if (rc == -1)
			return -1;
		if (rc == 1 && n++ == 0)
			*found = u;
	}
	return n;
}

static int
intent_adopt(struct worker *w, const struct intent *intent, const char *upload_id, struct failure *f)
{
	struct counts counts = { 0, 0 };
	struct query q;

	query_init(&q, &stmt_adopt);
	query_int(&q, intent->task);
	query_str(&q, intent->stand_in);
	query_str(&q, upload_id);
	if (query_wait(w, &q, take_counts, &counts, f) == -1)
		return -1;
	return counts.first > 0;
}

/* What the list says.  Asked after it was made: whatever it shows of another task was announced by a row before. */
static int
intent_judge(struct worker *w, const struct http_request *list, const struct intent *intent,
    char upload_id[S3XML_UPLOAD_ID_MAX], struct failure *f)
{
	const struct s3xml_upload *found = NULL;
	struct counts rivals = { 0, 0 };
	struct query q;
	int n;

	query_init(&q, &stmt_rivals);
	query_str(&q, intent->destination);
	query_int(&q, intent->age);
	query_int(&q, INTENT_AFTER_S + INTENT_BEFORE_S);
	if (query_wait(w, &q, take_counts, &rivals, f) == -1)
		return -1;
	if (rivals.first > 0)
		return failure_set(f, CLASS_TRANSIENT, "a task is beginning another upload there");
	n = intent_count(w, list, list->info.date - intent->age, &found, f);
	if (n == -1)
		return -1;
	if (n > rivals.second || list->xml.truncated)
		return failure_set(f, CLASS_PERMANENT,
		    "its id was lost, and more than one upload there may be it: look for uploads without parts by hand");
	if (n > 0) {
		strlcpy(upload_id, found->id, S3XML_UPLOAD_ID_MAX);
		return intent_adopt(w, intent, upload_id, f);
	}
	if (intent->age < INTENT_SETTLED_S)
		return failure_set(f, CLASS_TRANSIENT, "begun %" PRId64 " s ago if at all: it may still appear", intent->age);
	return 0;
}

int
intent_resolve(struct worker *w, struct store *store, const char *bucket, const char *key, const struct intent *intent,
    char upload_id[S3XML_UPLOAD_ID_MAX], struct failure *f)
{
	struct http_request list;
	int rc;

	http_prepare(&list, store, OP_LIST_UPLOADS);
	list.call.bucket = bucket;
	list.call.key = key;
	rc = http_insist(w, &list, clock_ms() + INTENT_TIMEOUT_MS, f);
	if (rc == 0 && list.xml.root != S3XML_LIST_UPLOADS)
		rc = http_failure(&list, f, CLASS_TRANSIENT, "the answer is no list of uploads");
	if (rc == 0 && list.info.date == -1)
		rc = http_failure(&list, f, CLASS_TRANSIENT, "the answer has no Date");
	if (rc == 0)
		rc = intent_judge(w, &list, intent, upload_id, f);
	http_release(&list);
	return rc;
}
