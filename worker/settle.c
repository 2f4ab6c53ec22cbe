/*
 * The statements that end a claim.  What is done the master settles; only a worker that has lost its master does it here.
 *
 * The answer to one of them can be lost after it took effect; sent again it finds the row no longer running.  So each
 * also says yes to a row that carries our claim and is what it would have made of it.
 */
#include <inttypes.h>
#include <string.h>

#include "common/log.h"
#include "worker/checkpoint.h"
#include "worker/query.h"

#define SETTLE_RETRY_AFTER_MAX_S 3600

#define SETTLED(state) \
	"SELECT EXISTS (SELECT FROM t) OR EXISTS (SELECT FROM ferry.task WHERE id = $1 AND claim = $2 AND state = '" state "')"

static const struct db_stmt stmt_done = { "task_done",
	"WITH t AS (UPDATE ferry.task SET state = 'done', bytes_total = coalesce(nullif($3::bigint, -1), bytes_total), "
	"bytes_done = $4, crc64 = $5, etag = $6, verified_by = $7, peak_memory = $8, error = NULL, error_class = NULL, "
	"finished_at = now() WHERE id = $1 AND claim = $2 AND state = 'running' RETURNING id), "
	"u AS (DELETE FROM ferry.upload u USING t WHERE u.task = t.id AND NOT u.abandoned) " SETTLED("done"), 8 };

static const struct db_stmt stmt_retry = { "task_retry",
	"WITH t AS (UPDATE ferry.task SET state = 'queued', node = NULL, worker = NULL, attempt = attempt + 1, "
	"error = $3, error_class = $4, peak_memory = $5, "
	"run_at = now() + greatest(least($6::double precision * power(2, least(attempt, 30)), $7::double precision) "
	"* (0.5 + random()) * interval '1 millisecond', $8::double precision * interval '1 second') "
	"WHERE id = $1 AND claim = $2 AND state = 'running' RETURNING id) " SETTLED("queued"), 8 };

static const struct db_stmt stmt_failed = { "task_failed",
	"WITH t AS (UPDATE ferry.task SET state = 'failed', attempt = attempt + 1, error = $3, error_class = $4, "
	"peak_memory = $5, finished_at = now() WHERE id = $1 AND claim = $2 AND state = 'running' RETURNING id) "
	SETTLED("failed"), 5 };

static const struct db_stmt stmt_release = { "task_release",
	"WITH t AS (UPDATE ferry.task SET state = 'queued', node = NULL, worker = NULL "
	"WHERE id = $1 AND claim = $2 AND state = 'running' RETURNING id), "
	"n AS (SELECT pg_notify('ferry_task', '') FROM t) SELECT EXISTS (SELECT FROM n) "
	"OR EXISTS (SELECT FROM ferry.task WHERE id = $1 AND claim = $2 AND state = 'queued')", 2 };

static void
take_settled(void *arg, const PGresult *res)
{
	*(bool *)arg = PQntuples(res) == 1 && PQgetvalue(res, 0, 0)[0] == 't';
}

static enum checkpoint_owner
settle(struct transfer *t, const struct query *q)
{
	bool settled = false;
	struct failure f;

	failure_init(&f);
	if (query_insist(t->w, q, take_settled, &settled, &f) != 0) {
		log_error("task %" PRId64 ": its end could not be recorded%s%s", t->task->id,
		    f.class != CLASS_NONE ? ": " : "", f.text);
		return OWNER_UNKNOWN;
	}
	return settled ? OWNER_US : OWNER_OTHER;
}

static void
settle_init(struct query *q, const struct db_stmt *stmt, const struct transfer *t)
{
	query_init(q, stmt);
	query_int(q, t->task->id);
	query_int(q, t->task->claim);
}

enum checkpoint_owner
checkpoint_settle_done(struct transfer *t, int64_t peak)
{
	struct query q;

	settle_init(&q, &stmt_done, t);
	query_int(&q, t->size);
	query_int(&q, t->skipped ? 0 : t->size);
	if (transfer_knows_crc64(t))
		query_uint(&q, t->crc64);
	else
		query_null(&q);
	query_str(&q, t->etag[0] != '\0' ? t->etag : NULL);
	query_str(&q, t->verified_by);
	query_int(&q, peak);
	return settle(t, &q);
}

enum checkpoint_owner
checkpoint_settle_retry(struct transfer *t, int64_t peak)
{
	const struct config_worker *conf = &t->w->setup->config.worker;
	struct query q;

	settle_init(&q, &stmt_retry, t);
	query_str(&q, t->failure.text);
	query_str(&q, error_class_name(t->failure.class));
	query_int(&q, peak);
	query_int(&q, conf->retry_delay_ms);
	query_int(&q, conf->retry_delay_max_ms);
	/* a server's wish, but not for ever */
	query_int(&q, t->failure.retry_after < SETTLE_RETRY_AFTER_MAX_S ? t->failure.retry_after : SETTLE_RETRY_AFTER_MAX_S);
	return settle(t, &q);
}

enum checkpoint_owner
checkpoint_settle_failed(struct transfer *t, int64_t peak)
{
	struct query q;

	settle_init(&q, &stmt_failed, t);
	query_str(&q, t->failure.text);
	query_str(&q, error_class_name(t->failure.class));
	query_int(&q, peak);
	return settle(t, &q);
}

enum checkpoint_owner
checkpoint_release(struct transfer *t)
{
	struct query q;

	settle_init(&q, &stmt_release, t);
	return settle(t, &q);
}
