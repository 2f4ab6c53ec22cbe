#include "master/queue/deaths.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/units.h"
#include "common/db/params.h"

#define RETRY_MS 2000

/* Before a task whose worker was killed for the machine's shortage of memory is due again. */
#define SHORTAGE_MS 5000

/*
 * $3 is the kind, $4 and $5 the limits on crashes and ooms, $9 the pause in ms.  The claim guards
 * the row: a task that its worker settled before it died, or that another node has by now, is not
 * touched.  The next worker resumes at the first part that is missing.  A crash is not counted if
 * the task has more bytes in finished parts than after each attempt before.  If a newer task has
 * its dedup_key, the trigger ferry.supersede() cancels it, and the answer names the newer one.  If
 * the statement is sent again because its answer was lost, it finds the row as it has left it, and
 * does not know what it has not counted.
 *
 * life of a row: running -> queued or failed
 */
static const struct db_stmt stmt_settle = {
	.name = "settle_death",
	.nparams = 9,
	.sql =
	    "WITH upload AS ("
	    "SELECT u.upload_id FROM ferry.task t JOIN ferry.upload u "
	    "ON u.task = t.id AND u.first_claim = t.first_claim "
	    "AND NOT u.abandoned AND NOT u.spoiled "
	    "AND u.source_size >= 0 AND u.source_etag <> '' "
	    "WHERE t.id = $1::bigint AND t.claim = $2::bigint), "
	    "part AS ("
	    "SELECT p.number, p.size FROM ferry.part p, upload u "
	    "WHERE p.task = $1::bigint AND p.upload_id = u.upload_id), "
	    "resume AS ("
	    "SELECT (SELECT coalesce(sum(size), 0) FROM part)::bigint AS bytes, "
	    "(SELECT min(n) FROM (SELECT 1 AS n UNION ALL SELECT number + 1 FROM part) c "
	    "WHERE n NOT IN (SELECT number FROM part)) AS next_part "
	    "FROM upload), "
	    "settled AS ("
	    "UPDATE ferry.task t "
	    "SET crashes = t.crashes + ($3 = 'crash' AND o.counts)::integer, "
	    "ooms = t.ooms + ($3 = 'out_of_memory')::integer, "
	    "state = CASE WHEN o.over THEN 'failed'::ferry.state ELSE 'queued'::ferry.state END, "
	    "run_at = CASE WHEN $3 = 'released' THEN t.run_at "
	    "ELSE now() + $9::bigint * interval '1 ms' END, "
	    "finished_at = CASE WHEN o.over THEN now() END, "
	    "node = NULL, "
	    "worker = NULL, "
	    "error = coalesce($6, t.error), "
	    "error_class = CASE WHEN $3 = 'released' THEN t.error_class ELSE $3 END, "
	    "peak_memory = greatest(t.peak_memory, $7::bigint), "
	    "bytes_total = coalesce(t.bytes_total, $8::bigint), "
	    "bytes_done = o.bytes, "
	    "bytes_gained = greatest(t.bytes_gained, nullif(o.bytes, 0)) "
	    "FROM (SELECT g.id, g.bytes, g.counts, "
	    "$3 = 'crash' AND g.counts AND g.crashes + 1 >= $4::integer "
	    "OR $3 = 'out_of_memory' AND g.ooms + 1 >= $5::integer AS over "
	    "FROM (SELECT t.id, t.crashes, t.ooms, coalesce(r.bytes, 0) AS bytes, "
	    "coalesce(r.bytes, 0) <= coalesce(t.bytes_gained, 0) AS counts "
	    "FROM ferry.task t LEFT JOIN resume r ON true "
	    "WHERE t.id = $1::bigint "
	    "AND t.claim = $2::bigint) g) o "
	    "WHERE t.id = $1::bigint AND o.id = t.id "
	    "AND t.claim = $2::bigint AND t.state = 'running' "
	    "RETURNING t.id, t.state, t.crashes, t.ooms, t.bytes_done, t.bytes_total, t.dedup_key, "
	    "t.created_by, o.counts, pg_notify('ferry_task', '')) "
	    "SELECT s.state, s.crashes, s.ooms, (SELECT next_part FROM resume), "
	    "s.bytes_done, s.bytes_total, s.counts, "
	    "(SELECT n.id FROM ferry.task n "
	    "WHERE n.state = 'queued' AND n.started_at IS NULL AND n.dedup_key = s.dedup_key "
	    "AND n.created_by = s.created_by "
	    "AND n.id > s.id AND s.state = 'queued') AS newer "
	    "FROM settled s "
	    "UNION ALL "
	    "SELECT t.state, t.crashes, t.ooms, (SELECT next_part FROM resume), "
	    "t.bytes_done, t.bytes_total, true, NULL "
	    "FROM ferry.task t "
	    "WHERE t.id = $1::bigint AND t.claim = $2::bigint "
	    "AND t.state IN ('queued', 'failed') "
	    "AND t.error = $6 AND t.error_class = $3 "
	    "AND NOT EXISTS (SELECT FROM settled)",
};
enum { STATE, CRASHES, OOMS, NEXT_PART, BYTES_DONE, BYTES_TOTAL, COUNTS, NEWER };

static const char *const kind_names[] = {
	[DEATH_CRASH] = "crash",
	[DEATH_MEMORY] = "out_of_memory",
	[DEATH_FORGIVEN] = "released",
	[DEATH_SHORTAGE] = "transient",
};

static void
append_outcome(char *buf, size_t size, const struct death *death, const struct death_row *row)
{
	size_t len = strlen(buf);
	const char *what = death->kind == DEATH_MEMORY ? "oom" : "crash";

	if (row == NULL) {
		snprintf(
		    buf + len, size - len, "; task will be requeued when the database is back");
		return;
	}
	if (row->failed) {
		snprintf(buf + len, size - len, "; task failed, %s %d of %d", what, row->count,
		    row->limit);
		return;
	}
	if (row->newer != 0) {
		snprintf(buf + len, size - len, "; task superseded by task %" PRId64, row->newer);
		return;
	}
	if (row->next_part > 0)
		snprintf(
		    buf + len, size - len, "; task requeued, resumes at part %d", row->next_part);
	else
		snprintf(buf + len, size - len, "; task requeued, starts over");
	len = strlen(buf);
	if (death->kind == DEATH_SHORTAGE)
		snprintf(buf + len, size - len, " in %d s, not counted", SHORTAGE_MS / 1000);
	else if (death->kind == DEATH_CRASH && row->gained)
		snprintf(buf + len, size - len, ", crash not counted since parts were finished");
	else if (death->kind != DEATH_FORGIVEN)
		snprintf(buf + len, size - len, ", %s %d of %d", what, row->count, row->limit);
}

void
deaths_format(char *buf, size_t size, const struct death *death, const struct death_row *row)
{
	char done[24], total[24];

	units_format_size(done, sizeof(done), death->bytes_done);
	if (death->bytes_total >= 0)
		units_format_size(total, sizeof(total), death->bytes_total);
	else
		strlcpy(total, "unknown size", sizeof(total));
	snprintf(buf, size, "worker %d (pid %d) %s, task %" PRId64 " %s at %s of %s", death->worker,
	    (int)death->pid, death->verdict, death->task, death->source, done, total);
	append_outcome(buf, size, death, row);
}

static void
log_death(const struct death *death, int priority, const char *sentence)
{
	struct log_line line;

	log_begin(&line, priority, "%s", sentence);
	log_int(&line, "task", death->task);
	log_str(&line, "source", death->source);
	log_str(&line, "destination", death->destination);
	log_int(&line, "worker", death->worker);
	log_int(&line, "pid", death->pid);
	log_str(&line, "cause", death->cause);
	if (death->peak >= 0)
		log_int(&line, "peak", death->peak);
	log_int(&line, "cap", death->cap);
	log_end(&line);
}

static void
forget(struct queue *q, struct death *death)
{
	TAILQ_REMOVE(&q->deaths, death, entry);
	free(death);
}

/* 0 for NULL, which PQgetvalue() returns as "". */
static int64_t
column_int(const PGresult *res, int column)
{
	return strtoll(PQgetvalue(res, 0, column), NULL, 10);
}

/* The row may know more than the worker's last report. */
static void
learn_from_row(struct death *death, const PGresult *res)
{
	if (death->bytes_total < 0 && !PQgetisnull(res, 0, BYTES_TOTAL))
		death->bytes_total = column_int(res, BYTES_TOTAL);
	if (death->bytes_done < column_int(res, BYTES_DONE))
		death->bytes_done = column_int(res, BYTES_DONE);
}

static void
log_outcome(struct queue *q, struct death *death, const PGresult *res)
{
	const struct config *conf = q->state->conf;
	bool memory = death->kind == DEATH_MEMORY;
	struct death_row row = {
		.failed = strcmp(PQgetvalue(res, 0, STATE), "failed") == 0,
		.count = (int)column_int(res, memory ? OOMS : CRASHES),
		.limit = memory ? conf->max_ooms : conf->max_crashes,
		.next_part = (int)column_int(res, NEXT_PART),
		.gained = PQgetvalue(res, 0, COUNTS)[0] == 'f',
		.newer = column_int(res, NEWER),
	};
	char sentence[LOG_LINE_MAX / 2];

	learn_from_row(death, res);
	deaths_format(sentence, sizeof(sentence), death, &row);
	log_death(death, row.failed ? LOG_ERR : LOG_WARNING, sentence);
	if (row.failed)
		agenda_reap_soon(&q->state->agenda);
	else
		agenda_claim(&q->state->agenda);
}

/* The claim is revoked, or the worker settled the row before it died. */
static void
log_settled_before(const struct death *death)
{
	char sentence[LOG_LINE_MAX / 2];

	snprintf(sentence, sizeof(sentence),
	    "worker %d (pid %d) %s, task %" PRId64 " was settled already", death->worker,
	    (int)death->pid, death->verdict, death->task);
	log_death(death, LOG_WARNING, sentence);
}

static void
log_refused(const struct death *death, const PGresult *res)
{
	char sentence[LOG_LINE_MAX / 2], why[384];

	snprintf(sentence, sizeof(sentence),
	    "task %" PRId64 ": the death of its worker cannot be written: %s; will try again",
	    death->task, db_error_origin(res, why, sizeof(why)));
	log_death(death, LOG_ERR, sentence);
}

static void
settled(void *arg, enum db_status status, PGresult *res)
{
	struct death *death = arg;
	struct queue *q = death->q;

	if (status != DB_OK) {
		if (!death->refused)
			log_refused(death, res);
		death->refused = true;
		death->retry_at = clock_ms() + RETRY_MS;
		return;
	}
	if (PQntuples(res) > 0)
		log_outcome(q, death, res);
	else
		log_settled_before(death);
	forget(q, death);
}

static void
submit(struct queue *q, struct death *death)
{
	char error[TASK_ERROR_MAX];
	struct params p = { .n = 0 };

	snprintf(error, sizeof(error), "worker %s", death->verdict);
	params_int(&p, death->task);
	params_int(&p, death->claim);
	params_text(&p, kind_names[death->kind]);
	params_int(&p, q->state->conf->max_crashes);
	params_int(&p, q->state->conf->max_ooms);
	params_text(&p, death->kind != DEATH_FORGIVEN ? error : NULL);
	if (death->peak >= 0)
		params_int(&p, death->peak);
	else
		params_null(&p);
	if (death->bytes_total >= 0)
		params_int(&p, death->bytes_total);
	else
		params_null(&p);
	params_int(&p, death->kind == DEATH_SHORTAGE ? SHORTAGE_MS : 0);
	death->retry_at = 0;
	db_submit(q->node->db, &stmt_settle, p.values, DB_REPEAT, settled, death);
}

void
deaths_init(struct queue *q)
{
	TAILQ_INIT(&q->deaths);
}

void
deaths_add(struct queue *q, struct death *death)
{
	char sentence[LOG_LINE_MAX / 2];

	death->q = q;
	TAILQ_INSERT_TAIL(&q->deaths, death, entry);
	if (!db_is_up(q->node->db)) {
		deaths_format(sentence, sizeof(sentence), death, NULL);
		log_death(death, LOG_WARNING, sentence);
	}
	submit(q, death);
}

int64_t
deaths_deadline(const struct queue *q)
{
	const struct death *death;
	int64_t at = 0;

	TAILQ_FOREACH (death, &q->deaths, entry)
		at = clock_earlier(at, death->retry_at);
	return at;
}

void
deaths_run(struct queue *q)
{
	struct death *death;

	TAILQ_FOREACH (death, &q->deaths, entry)
		if (death->retry_at != 0 && death->retry_at <= clock_ms())
			submit(q, death);
}

bool
deaths_are_settled(const struct queue *q)
{
	return TAILQ_EMPTY(&q->deaths);
}

void
deaths_walk(const struct queue *q, held_visit *visit, void *arg)
{
	const struct death *death;

	TAILQ_FOREACH (death, &q->deaths, entry)
		visit(arg, &(struct held){ HELD_DEATH, death->task, death->claim, 0, false });
}

void
deaths_discard(struct queue *q)
{
	struct death *death;

	while ((death = TAILQ_FIRST(&q->deaths)) != NULL)
		forget(q, death);
}
