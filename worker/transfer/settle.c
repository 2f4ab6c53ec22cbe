/*
 * A worker settles failures itself.  It leaves done rows to the master, unless the master is gone.
 *
 * A statement is sent again if its answer is lost, and then finds the row settled.  So each also
 * answers yes if the row has our claim and the state that the statement gives it.
 *
 * A row that returns to the queue has bytes_done of finished parts alone: the next attempt may
 * resume from these, while what was in flight is lost.
 */
#include "worker/transfer/settle.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "worker/event/query.h"
#include "worker/session/connection.h"
#include "worker/transfer/private.h"

#define RETRY_AFTER_MAX_S 3600

#define IS_SETTLED(state)                    \
	"SELECT EXISTS (SELECT FROM t) "     \
	"OR EXISTS (SELECT FROM ferry.task " \
	"WHERE id = $1 AND claim = $2 AND state = " state ")"

/*
 * The task that takes the place of the one that goes back to the queue: the trigger
 * ferry.supersede() cancels a task if a newer one has its dedup_key.
 */
#define NEWER                                              \
	", (SELECT n.id FROM t "                           \
	"JOIN ferry.task n ON n.dedup_key = t.dedup_key "  \
	"AND n.created_by = t.created_by AND n.id > t.id " \
	"WHERE n.state = 'queued' AND n.started_at IS NULL)"

enum settled_column { SETTLED_IS_TRUE, SETTLED_NEWER };

struct settled {
	bool ours;
	int64_t newer; /* 0: none */
};

static void
take_settled(void *arg, const PGresult *res)
{
	struct settled *settled = arg;

	settled->ours = PQntuples(res) == 1 && column_is_true(res, 0, SETTLED_IS_TRUE);
	if (settled->ours && PQnfields(res) > SETTLED_NEWER)
		settled->newer = strtoll(PQgetvalue(res, 0, SETTLED_NEWER), NULL, 10);
}

/* If the database refuses the statement, *f says why. */
static enum claim
settle_or_say(struct transfer *t, const struct query *q, struct failure *f)
{
	struct settled settled = { false, 0 };
	enum query_end end;

	failure_init(f);
	end = query_insist(t->w, q, take_settled, &settled, f);
	if (end != QUERY_DONE) {
		if (connection_is_denied(t->w))
			return CLAIM_UNKNOWN;
		task_log(t->task, LOG_ERR, ": its end could not be recorded%s%s",
		    f->class != CLASS_NONE ? ": " : "", f->text);
		return end == QUERY_FAILED ? CLAIM_REFUSED : CLAIM_UNKNOWN;
	}
	if (settled.newer != 0)
		task_log(
		    t->task, LOG_INFO, " cancelled: superseded by task %" PRId64, settled.newer);
	return settled.ours ? CLAIM_OURS : CLAIM_REVOKED;
}

static enum claim
settle(struct transfer *t, const struct query *q)
{
	struct failure f;
	enum claim claim = settle_or_say(t, q, &f);

	return claim == CLAIM_REFUSED ? CLAIM_UNKNOWN : claim;
}

/* life of a row: running -> done */
static const struct db_stmt stmt_done = { "task_done",
	"WITH t AS (UPDATE ferry.task "
	"SET state = 'done', bytes_total = coalesce(nullif($3::bigint, -1), bytes_total), "
	"bytes_done = $4, crc64 = $5, etag = $6, verified_by = $7, peak_memory = $8, "
	"warning = $9, "
	"error = NULL, error_class = NULL, finished_at = now() "
	"WHERE id = $1 AND claim = $2 AND state = 'running' "
	"RETURNING id, first_claim), "
	"u AS (DELETE FROM ferry.upload u "
	"USING t "
	"WHERE u.task = t.id AND u.first_claim = t.first_claim "
	"AND NOT u.abandoned) " IS_SETTLED("'done'"),
	9 };

enum claim
settle_done(struct transfer *t, int64_t peak)
{
	const struct outcome *o = &t->outcome;
	struct query q;

	query_task(&q, &stmt_done, t);
	query_int(&q, t->size);
	query_int(&q, o->skipped ? 0 : t->size);
	if (transfer_knows_crc64(t))
		query_uint(&q, o->crc64);
	else
		query_null(&q);
	query_str(&q, o->etag[0] != '\0' ? o->etag : NULL);
	query_str(&q, o->verified_by);
	query_int(&q, peak);
	query_str(&q, o->warning[0] != '\0' ? o->warning : NULL);
	return settle(t, &q);
}

/* life of a row: running -> failed */
static const struct db_stmt stmt_failed = { "task_failed",
	"WITH t AS (UPDATE ferry.task "
	"SET state = 'failed', attempt = attempt + 1, error = $3, error_class = $4, "
	"peak_memory = $5, finished_at = now() "
	"WHERE id = $1 AND claim = $2 AND state = 'running' "
	"RETURNING id) " IS_SETTLED("'failed'"),
	5 };

enum claim
settle_failed(struct transfer *t, int64_t peak, struct failure *refusal)
{
	struct query q;

	query_task(&q, &stmt_failed, t);
	query_str(&q, t->failure.text);
	query_str(&q, error_class_name(t->failure.class));
	query_int(&q, peak);
	return settle_or_say(t, &q, refusal);
}

/* What the server asked for, in seconds; -1: nothing. */
static int64_t
wanted_delay(const struct transfer *t)
{
	int64_t wanted = t->failure.retry_after;

	return wanted < RETRY_AFTER_MAX_S ? wanted : RETRY_AFTER_MAX_S;
}

/* life of a row: running -> queued */
static const struct db_stmt stmt_retry = { "task_retry",
	"WITH t AS (UPDATE ferry.task "
	"SET state = 'queued', node = NULL, worker = NULL, "
	"attempt = attempt + ($9::bigint <= coalesce(bytes_gained, 0))::integer, "
	"bytes_gained = greatest(bytes_gained, nullif($9, 0)), "
	"error = $3, error_class = $4, peak_memory = $5, bytes_done = $9, "
	"run_at = now() + greatest("
	"least($6::double precision * power(2, least(attempt, 30)), $7::double precision) "
	"* (0.5 + random()) * interval '1 millisecond', "
	"$8::double precision * interval '1 second') "
	"WHERE id = $1 AND claim = $2 AND state = 'running' "
	"RETURNING id, dedup_key, created_by) " IS_SETTLED("'queued'") NEWER,
	9 };

enum claim
settle_retry(struct transfer *t, int64_t peak, int64_t kept)
{
	const struct config_worker *conf = &t->w->setup->config.worker;
	struct query q;

	query_task(&q, &stmt_retry, t);
	query_str(&q, t->failure.text);
	query_str(&q, error_class_name(t->failure.class));
	query_int(&q, peak);
	query_int(&q, conf->retry_delay_ms);
	query_int(&q, conf->retry_delay_max_ms);
	query_int(&q, wanted_delay(t));
	query_int(&q, kept);
	return settle(t, &q);
}

/*
 * life of a row: running -> queued.  The master paces what uses a store in trouble, so the delay
 * does not grow.
 */
static const struct db_stmt stmt_postponed = { "task_postponed",
	"WITH t AS (UPDATE ferry.task "
	"SET state = 'queued', node = NULL, worker = NULL, "
	"bytes_gained = greatest(bytes_gained, nullif($8, 0)), "
	"error = $3, error_class = $4, peak_memory = $5, bytes_done = $8, "
	"run_at = now() + greatest("
	"$6::double precision * (0.5 + random()) * interval '1 millisecond', "
	"$7::double precision * interval '1 second') "
	"WHERE id = $1 AND claim = $2 AND state = 'running' "
	"RETURNING id, dedup_key, created_by) " IS_SETTLED("'queued'") NEWER,
	8 };

enum claim
settle_postponed(struct transfer *t, int64_t peak, int64_t kept)
{
	struct query q;

	query_task(&q, &stmt_postponed, t);
	query_str(&q, t->failure.text);
	query_str(&q, error_class_name(t->failure.class));
	query_int(&q, peak);
	query_int(&q, t->w->setup->config.worker.retry_delay_ms);
	query_int(&q, wanted_delay(t));
	query_int(&q, kept);
	return settle(t, &q);
}

enum claim
settle_refused(struct transfer *t, int64_t peak, const struct failure *refusal)
{
	char error[TASK_ERROR_MAX];
	struct query q;

	snprintf(error, sizeof(error), "%.200s; it is tried again, since it could not end: %.230s",
	    t->failure.text, refusal->text);
	query_task(&q, &stmt_postponed, t);
	query_str(&q, error);
	query_str(&q, error_class_name(CLASS_TRANSIENT));
	query_int(&q, peak);
	query_int(&q, t->w->setup->config.worker.retry_delay_max_ms);
	query_int(&q, 0);
	query_int(&q, 0);
	return settle(t, &q);
}

/* life of a row: running -> queued */
static const struct db_stmt stmt_release = { "task_release",
	"WITH t AS (UPDATE ferry.task "
	"SET state = 'queued', node = NULL, worker = NULL, bytes_done = $3 "
	"WHERE id = $1 AND claim = $2 AND state = 'running' "
	"RETURNING id, dedup_key, created_by), "
	"n AS (SELECT pg_notify('ferry_task', '') FROM t) "
	"SELECT EXISTS (SELECT FROM n) "
	"OR EXISTS (SELECT FROM ferry.task "
	"WHERE id = $1 AND claim = $2 AND state = 'queued')" NEWER,
	3 };

enum claim
settle_requeue(struct transfer *t)
{
	struct query q;

	query_task(&q, &stmt_release, t);
	query_int(&q, t->bytes_done);
	return settle(t, &q);
}
