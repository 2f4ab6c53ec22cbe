#include "worker/cleanup/lost.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "worker/http/answer.h"
#include "worker/http/request.h"
#include "worker/event/call.h"
#include "worker/event/query.h"

#define TIMEOUT_MS 30000

/*
 * When the upload was begun, in seconds by the store's clock, compared with the row.  Date counts
 * whole seconds.  Initiate is sent at once; a server that begins it later than this is not waited
 * for.
 */
#define BEFORE_S 2
#define AFTER_S 120
#define APPEARS_WITHIN_S 150 /* of the row; later no upload can appear */

/*
 * All rows of the key that wait for the answer to an Initiate, or have lost it: those of live
 * tasks; those that have lost it at about the same time as ours, ours among them; and those of the
 * latter that are older than ours.
 */
static const struct db_stmt stmt_rivals = { "lost_rivals",
	"WITH r AS (SELECT NOT u.abandoned AND t.id IS NOT NULL AS live, "
	"abs(extract(epoch FROM u.created_at - ours.created_at)) <= $3 AS near, "
	"(u.created_at, u.task, u.upload_id) "
	"< (ours.created_at, ours.task, ours.upload_id) AS older "
	"FROM ferry.upload ours "
	"JOIN ferry.upload u ON u.destination = ours.destination AND NOT u.initiated "
	"LEFT JOIN ferry.task t ON t.id = u.task AND t.first_claim = u.first_claim "
	"AND t.state IN ('queued', 'running') "
	"WHERE ours.task = $1 AND ours.upload_id = $2 AND NOT ours.initiated) "
	"SELECT count(*) FILTER (WHERE live), "
	"count(*) FILTER (WHERE near AND NOT live), "
	"count(*) FILTER (WHERE near AND NOT live AND older) "
	"FROM r",
	3 };

static const struct db_stmt stmt_known = { "lost_known",
	"SELECT count(*) "
	"FROM ferry.upload "
	"WHERE upload_id = $1",
	1 };

static const struct db_stmt stmt_adopt = { "lost_adopt",
	"WITH u AS (UPDATE ferry.upload "
	"SET upload_id = $4, initiated = true, abandoned = true "
	"WHERE task = $1 AND claim = $2 AND upload_id = $3 AND NOT initiated "
	"RETURNING task) "
	"SELECT count(*) FROM u",
	4 };

struct rivals {
	int64_t live;
	int64_t lost; /* ours among them; none: our row is gone */
	int64_t older;
};

enum rivals_column { RIVALS_LIVE, RIVALS_LOST, RIVALS_OLDER };

static void
take_rivals(void *arg, const PGresult *res)
{
	struct rivals *rivals = arg;

	rivals->live = strtoll(PQgetvalue(res, 0, RIVALS_LIVE), NULL, 10);
	rivals->lost = strtoll(PQgetvalue(res, 0, RIVALS_LOST), NULL, 10);
	rivals->older = strtoll(PQgetvalue(res, 0, RIVALS_OLDER), NULL, 10);
}

enum count_column { COUNT };

static void
take_count(void *arg, const PGresult *res)
{
	*(int64_t *)arg = strtoll(PQgetvalue(res, 0, COUNT), NULL, 10);
}

/* Returns 0 or -1, as query_wait(). */
static int
count_rivals(struct worker *w, const struct lost *lost, struct rivals *rivals, struct failure *f)
{
	struct query q;

	query_init(&q, &stmt_rivals);
	query_int(&q, lost->task);
	query_str(&q, lost->stand_in);
	query_int(&q, AFTER_S + BEFORE_S);
	return query_wait(w, &q, take_rivals, rivals, f);
}

/* Whether an upload of the list may be ours. */
enum match { MATCH_FAILED = -1, MATCH_NO, MATCH_YES };

/* An upload that a row knows is not ours. */
static enum match
match_row(struct worker *w, const char *upload_id, struct failure *f)
{
	int64_t rows = 0;
	struct query q;

	query_init(&q, &stmt_known);
	query_str(&q, upload_id);
	if (query_wait(w, &q, take_count, &rows, f) == -1)
		return MATCH_FAILED;
	return rows > 0 ? MATCH_NO : MATCH_YES;
}

/* An upload that has parts, or is gone by now, is not ours. */
static enum match
match_parts(
    struct worker *w, const struct object_name *name, const char *upload_id, struct failure *f)
{
	enum match match = MATCH_FAILED;
	struct http_request r;

	object_prepare(name, &r, OP_LIST_PARTS);
	r.call.upload_id = upload_id;
	if (call_insist(w, &r, clock_ms() + TIMEOUT_MS, f) == 0) {
		match = r.xml.nparts == 0 ? MATCH_YES : MATCH_NO;
	} else if (http_says_absent(&r)) {
		failure_init(f);
		match = MATCH_NO;
	}
	http_release(&r);
	return match;
}

static bool
is_of_that_time(const struct s3xml_upload *u, int64_t begun)
{
	return u->initiated >= begun - BEFORE_S && u->initiated <= begun + AFTER_S;
}

/*
 * How many uploads of the list may be ours, begun at that time by the store's clock; *found is the
 * oldest.  -1 with a failure.
 */
static int
count_matches(struct worker *w, const struct http_request *list, int64_t begun,
    const struct s3xml_upload **found, struct failure *f)
{
	const struct object_name name = { list->store, list->call.bucket, list->call.key };
	const struct s3xml_upload *u;
	enum match match;
	int i, n = 0;

	for (i = 0; i < list->xml.nuploads; i++) {
		u = &list->xml.uploads[i];
		if (strcmp(u->key, name.key) != 0 || !is_of_that_time(u, begun))
			continue;
		match = match_row(w, u->id, f);
		if (match == MATCH_YES)
			match = match_parts(w, &name, u->id, f);
		if (match == MATCH_FAILED)
			return -1;
		if (match == MATCH_YES && (n++ == 0 || u->initiated < (*found)->initiated))
			*found = u;
	}
	return n;
}

/* Puts the id into the row.  The row may be gone by now. */
static enum lost_found
adopt(struct worker *w, const struct lost *lost, const char *upload_id, struct failure *f)
{
	int64_t rows = 0;
	struct query q;

	query_init(&q, &stmt_adopt);
	query_int(&q, lost->task);
	query_int(&q, lost->claim);
	query_str(&q, lost->stand_in);
	query_str(&q, upload_id);
	if (query_wait(w, &q, take_count, &rows, f) == -1)
		return LOST_UNCERTAIN;
	return rows > 0 ? LOST_FOUND : LOST_NONE;
}

static enum lost_found
uncertain(struct failure *f, enum error_class class, const char *why)
{
	failure_set(f, class, "%s", why);
	return LOST_UNCERTAIN;
}

/*
 * The table is asked after the list was made: each upload of another task that the list may show
 * was announced by a row before.
 */
static enum lost_found
judge(struct worker *w, const struct http_request *list, const struct lost *lost,
    char upload_id[S3XML_UPLOAD_ID_MAX], struct failure *f)
{
	const struct s3xml_upload *found = NULL;
	struct rivals rivals = { 0, 0, 0 };
	int n;

	if (count_rivals(w, lost, &rivals, f) == -1)
		return LOST_UNCERTAIN;
	if (rivals.lost == 0)
		return LOST_NONE;
	if (rivals.live > 0)
		return uncertain(f, CLASS_TRANSIENT, "a task is beginning another upload there");
	if (rivals.older > 0)
		return uncertain(f, CLASS_TRANSIENT,
		    "an older upload there, whose id was lost too, is looked for first");
	n = count_matches(w, list, list->info.date - lost->age, &found, f);
	if (n == -1)
		return LOST_UNCERTAIN;
	if (n > rivals.lost || list->xml.truncated)
		return uncertain(f, CLASS_PERMANENT,
		    "its id was lost, and more than one upload there may be it: look for uploads "
		    "without parts by hand");
	if (n > 0) {
		strlcpy(upload_id, found->id, S3XML_UPLOAD_ID_MAX);
		return adopt(w, lost, upload_id, f);
	}
	if (lost->age >= APPEARS_WITHIN_S)
		return LOST_NONE;
	failure_set(f, CLASS_TRANSIENT, "begun %" PRId64 " s ago if at all: it may still appear",
	    lost->age);
	return LOST_UNCERTAIN;
}

enum lost_found
lost_resolve(struct worker *w, const struct object_name *name, const struct lost *lost,
    char upload_id[S3XML_UPLOAD_ID_MAX], struct failure *f)
{
	enum lost_found found = LOST_UNCERTAIN;
	struct http_request list;

	object_prepare(name, &list, OP_LIST_UPLOADS);
	if (call_insist(w, &list, clock_ms() + TIMEOUT_MS, f) == 0) {
		if (list.info.date == -1)
			http_failure(&list, f, CLASS_TRANSIENT, "the answer has no Date");
		else
			found = judge(w, &list, lost, upload_id, f);
	}
	http_release(&list);
	return found;
}
