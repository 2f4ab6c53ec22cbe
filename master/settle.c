/*
 * Owns the list of deaths that the database has not taken yet.
 */
#include "master/settle.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/units.h"
#include "common/uri.h"
#include "master/abandoned.h"

#define RETRY_MS 2000

/*
 * $3 is the kind, $4 and $5 the limits.  The claim guards: a task that its worker settled before it died, or that another
 * node has by now, is not touched.  The first part that is missing is where a successor resumes.  Sent again after its answer
 * was lost, it finds the row as it has left it.
 */
static const struct db_stmt stmt_settle = {
	.name = "settle_death",
	.nparams = 8,
	.sql = "WITH upload AS (SELECT upload_id FROM ferry.upload WHERE task = $1::bigint AND NOT abandoned "
	       "AND NOT spoiled), "
	       "part AS (SELECT p.number, p.size FROM ferry.part p, upload u WHERE p.task = $1::bigint AND p.upload_id = u.upload_id), "
	       "resume AS (SELECT (SELECT coalesce(sum(size), 0) FROM part)::bigint AS bytes, "
	       "(SELECT min(n) FROM (SELECT 1 AS n UNION ALL SELECT number + 1 FROM part) c WHERE n NOT IN (SELECT number FROM part)) "
	       "AS next_part FROM upload), "
	       "settled AS (UPDATE ferry.task t SET crashes = t.crashes + ($3 = 'crash')::integer, "
	       "ooms = t.ooms + ($3 = 'out_of_memory')::integer, "
	       "state = CASE WHEN o.over THEN 'failed'::ferry.state ELSE 'queued'::ferry.state END, "
	       "run_at = CASE WHEN $3 = 'released' THEN t.run_at ELSE now() END, "
	       "finished_at = CASE WHEN o.over THEN now() END, node = NULL, worker = NULL, "
	       "error = coalesce($6, t.error), error_class = CASE WHEN $3 = 'released' THEN t.error_class ELSE $3 END, "
	       "peak_memory = greatest(t.peak_memory, $7::bigint), "
	       "bytes_total = coalesce(t.bytes_total, $8::bigint), "
	       "bytes_done = coalesce((SELECT bytes FROM resume), 0) "
	       "FROM (SELECT id, $3 = 'crash' AND crashes + 1 >= $4::integer OR $3 = 'out_of_memory' AND ooms + 1 >= $5::integer "
	       "AS over FROM ferry.task WHERE id = $1::bigint) o "
	       "WHERE t.id = $1::bigint AND o.id = t.id AND t.claim = $2::bigint AND t.state = 'running' "
	       "RETURNING t.state, t.crashes, t.ooms, t.bytes_done, t.bytes_total, pg_notify('ferry_task', '')) "
	       "SELECT s.state, s.crashes, s.ooms, (SELECT next_part FROM resume), s.bytes_done, s.bytes_total FROM settled s "
	       "UNION ALL SELECT t.state, t.crashes, t.ooms, (SELECT next_part FROM resume), t.bytes_done, t.bytes_total "
	       "FROM ferry.task t WHERE t.id = $1::bigint AND t.claim = $2::bigint AND t.state IN ('queued', 'failed') "
	       "AND t.error = $6 AND t.error_class = $3 AND NOT EXISTS (SELECT FROM settled)",
};

static const char *const kind_names[] = {
	[DEATH_CRASH] = "crash",
	[DEATH_MEMORY] = "out_of_memory",
	[DEATH_FORGIVEN] = "released",
};

static void
append_outcome(char *buf, size_t size, const struct death *death, const char *state, int count, int limit, int next_part)
{
	size_t len = strlen(buf);
	const char *what = death->kind == DEATH_MEMORY ? "oom" : "crash";

	if (state == NULL)
		snprintf(buf + len, size - len, "; task will be requeued when the database is back");
	else if (strcmp(state, "failed") == 0)
		snprintf(buf + len, size - len, "; task failed, %s %d of %d", what, count, limit);
	else {
		if (next_part > 0)
			snprintf(buf + len, size - len, "; task requeued, resumes at part %d", next_part);
		else
			snprintf(buf + len, size - len, "; task requeued, starts over");
		len = strlen(buf);
		if (death->kind != DEATH_FORGIVEN)
			snprintf(buf + len, size - len, ", %s %d of %d", what, count, limit);
	}
}

void
settle_format(char *buf, size_t size, const struct death *death, const char *state, int count, int limit, int next_part)
{
	char done[24], total[24];

	units_format_size(done, sizeof(done), death->bytes_done);
	if (death->bytes_total >= 0)
		units_format_size(total, sizeof(total), death->bytes_total);
	else
		strlcpy(total, "unknown size", sizeof(total));
	snprintf(buf, size, "worker %d (pid %d) %s, task %" PRId64 " %s at %s of %s", death->worker, (int)death->pid,
	    death->verdict, death->task, death->source, done, total);
	append_outcome(buf, size, death, state, count, limit, next_part);
}

static void
log_death(const struct death *death, int priority, const char *sentence)
{
	struct log_line line;

	log_begin(&line, priority, "%s", sentence);
	log_int(&line, "task", death->task);
	log_int(&line, "worker", death->worker);
	log_int(&line, "pid", death->pid);
	log_str(&line, "cause", death->cause);
	if (death->peak >= 0)
		log_int(&line, "peak", death->peak);
	log_int(&line, "cap", death->cap);
	log_end(&line);
}

static void
forget(struct master *m, struct death *death)
{
	TAILQ_REMOVE(&m->deaths, death, entry);
	free(death);
}

static int
column_int(const PGresult *res, int column)
{
	return PQgetisnull(res, 0, column) ? 0 : (int)strtol(PQgetvalue(res, 0, column), NULL, 10);
}

static void
log_outcome(struct master *m, struct death *death, const PGresult *res)
{
	const char *state = PQgetvalue(res, 0, 0);
	bool failed = strcmp(state, "failed") == 0, memory = death->kind == DEATH_MEMORY;
	char sentence[LOG_LINE_MAX / 2];
	int64_t finished;

	/* What the worker did not live to say, the row may know. */
	if (death->bytes_total < 0 && !PQgetisnull(res, 0, 5))
		death->bytes_total = strtoll(PQgetvalue(res, 0, 5), NULL, 10);
	/* the last word of the worker can be older than its last part */
	finished = strtoll(PQgetvalue(res, 0, 4), NULL, 10);
	if (death->bytes_done < finished)
		death->bytes_done = finished;
	settle_format(sentence, sizeof(sentence), death, state, column_int(res, memory ? 2 : 1),
	    memory ? m->conf->max_ooms : m->conf->max_crashes, column_int(res, 3));
	log_death(death, failed ? LOG_ERR : LOG_WARNING, sentence);
	if (failed)
		abandoned_soon(m);
	else
		m->queue.claim_wanted = true;
}

static void
settled(void *arg, enum db_status status, PGresult *res)
{
	struct death *death = arg;
	struct master *m = death->m;
	char why[256];

	if (status != DB_OK) {
		if (!death->refused)
			log_error("task %" PRId64 ": the death of its worker cannot be written: %s; will try again", death->task,
			    db_error_message(res, why, sizeof(why)));
		death->refused = true;
		death->retry_at = clock_ms() + RETRY_MS;
		return;
	}
	if (PQntuples(res) > 0)
		log_outcome(m, death, res);
	else /* the claim is gone: its worker had settled it, or our own answer was lost on the way */
		log_warn("worker %d (pid %d) %s, task %" PRId64 " was settled already", death->worker, (int)death->pid,
		    death->verdict, death->task);
	forget(m, death);
}

static void
submit(struct master *m, struct death *death)
{
	char task[24], claim[24], crashes[16], ooms[16], error[TASK_ERROR_MAX], peak[24], total[24];
	const char *params[] = { task, claim, kind_names[death->kind], crashes, ooms, error, peak, total };

	snprintf(task, sizeof(task), "%" PRId64, death->task);
	snprintf(claim, sizeof(claim), "%" PRId64, death->claim);
	snprintf(crashes, sizeof(crashes), "%d", m->conf->max_crashes);
	snprintf(ooms, sizeof(ooms), "%d", m->conf->max_ooms);
	snprintf(error, sizeof(error), "worker %s", death->verdict);
	snprintf(peak, sizeof(peak), "%" PRId64, death->peak);
	snprintf(total, sizeof(total), "%" PRId64, death->bytes_total);
	if (death->kind == DEATH_FORGIVEN)
		params[5] = NULL;
	if (death->peak < 0)
		params[6] = NULL;
	if (death->bytes_total < 0)
		params[7] = NULL;
	death->retry_at = 0;
	db_submit(m->db, &stmt_settle, params, DB_REPEAT, settled, death);
}

void
settle_death(struct master *m, struct death *death)
{
	char sentence[LOG_LINE_MAX / 2];

	death->m = m;
	TAILQ_INSERT_TAIL(&m->deaths, death, entry);
	if (!db_is_up(m->db)) {
		settle_format(sentence, sizeof(sentence), death, NULL, 0, 0, 0);
		log_death(death, LOG_WARNING, sentence);
	}
	submit(m, death);
}

int64_t
settle_deadline(const struct master *m)
{
	const struct death *death;
	int64_t at = 0;

	TAILQ_FOREACH (death, &m->deaths, entry)
		at = clock_earlier(at, death->retry_at);
	return at;
}

void
settle_run(struct master *m)
{
	struct death *death;

	TAILQ_FOREACH (death, &m->deaths, entry)
		if (death->retry_at != 0 && death->retry_at <= clock_ms())
			submit(m, death);
}

void
settle_discard(struct master *m)
{
	struct death *death;

	while ((death = TAILQ_FIRST(&m->deaths)) != NULL)
		forget(m, death);
}
