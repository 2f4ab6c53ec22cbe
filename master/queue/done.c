#include "master/queue/done.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/base/text.h"
#include "common/base/units.h"
#include "common/base/uri.h"
#include "common/db/params.h"
#include "master/limits/quota.h"
#include "master/node/second.h"
#include "master/node/sqlarray.h"

#define BATCH 1024 /* rows of one statement */
#define RETRY_MS 2000
#define SAY_AGAIN_MS 60000 /* between two lines about ends that are refused again */
#define GATHER_MS 5 /* between two statements, if tasks end faster than that */
#define GATHER_ROWS 128 /* so many are worth a statement at once */

struct result {
	TAILQ_ENTRY(result) entry;
	int worker;
	bool limited; /* it was under a limit: nodes may wait for its room */
	bool dropped; /* the claim was revoked: the row is not settled */
	bool complained; /* logged: the database refuses this row */
	char *source; /* heap, redacted */
	char *destination; /* likewise */
	struct msg_result what;
};

/*
 * One array for each column.  The answer names the tasks whose rows were not settled: their claim
 * is revoked, or they do not run any more.  If the statement is sent again because its answer was
 * lost, it finds the rows done under the same claims, and does not name them.  NOT IN makes the
 * planner look rows up in a hash table; with NOT EXISTS it compares each row with all.
 *
 * life of a row: running -> done
 */
static const struct db_stmt stmt_done = {
	.name = "settle_done",
	.nparams = 9,
	.sql = "WITH r AS MATERIALIZED ("
	       "SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], "
	       "$5::numeric[], $6::text[], $7::text[], $8::bigint[], $9::text[]) "
	       "AS r(id, claim, total, bytes, crc64, etag, verified_by, peak, warning)), "
	       "done AS ("
	       "UPDATE ferry.task t "
	       "SET state = 'done', "
	       "bytes_total = coalesce(r.total, t.bytes_total), "
	       "bytes_done = r.bytes, "
	       "crc64 = r.crc64, "
	       "etag = r.etag, "
	       "verified_by = r.verified_by, "
	       "peak_memory = r.peak, "
	       "warning = r.warning, "
	       "error = NULL, "
	       "error_class = NULL, "
	       "finished_at = now() "
	       "FROM r "
	       "WHERE t.id = r.id AND t.claim = r.claim AND t.state = 'running' "
	       "RETURNING t.id, t.claim, t.first_claim), "
	       "gone AS ("
	       "DELETE FROM ferry.upload u USING done "
	       "WHERE u.task = done.id AND u.first_claim = done.first_claim AND NOT u.abandoned) "
	       "SELECT r.id, r.claim FROM r "
	       "WHERE (r.id, r.claim) NOT IN (SELECT id, claim FROM done) "
	       "AND NOT EXISTS ("
	       "SELECT FROM ferry.task t "
	       "WHERE t.id = r.id AND t.claim = r.claim AND t.state = 'done')",
};
enum { DROPPED_ID, DROPPED_CLAIM };

void
done_init(struct queue *q)
{
	TAILQ_INIT(&q->done.waiting);
	TAILQ_INIT(&q->done.sent);
	q->done.batch = BATCH;
}

void
done_add(struct queue *q, const struct slot *slot, const struct msg_result *what)
{
	struct result *result = memory_alloc(sizeof(*result));
	char uri[URI_SHOWN];
	int i;

	result->what = *what;
	result->source = memory_strdup(uri_redact(uri, sizeof(uri), slot->task->source));
	result->destination = memory_strdup(uri_redact(uri, sizeof(uri), slot->task->destination));
	result->worker = slot->number;
	for (i = 0; i < SLOT_USES; i++)
		result->limited |= quota_find(q->limits, slot, i) != NULL;
	/* one byte that the database does not take would hold up all rows of the statement */
	text_make_plain(result->what.etag);
	text_make_plain(result->what.verified_by);
	text_make_plain(result->what.warning);
	TAILQ_INSERT_TAIL(&q->done.waiting, result, entry);
	q->done.n++;
}

static void
forget(struct queue *q, struct result_list *list, struct result *result)
{
	TAILQ_REMOVE(list, result, entry);
	q->done.n--;
	free(result->source);
	free(result->destination);
	free(result);
}

static void
log_object(struct log_line *line, const struct result *result)
{
	log_int(line, "task", result->what.task);
	log_str(line, "source", result->source);
	log_str(line, "destination", result->destination);
}

/* "2 parts sent again: damaged" */
static void
log_damaged(struct log_line *line, int damaged)
{
	char text[64];

	if (damaged <= 0)
		return;
	snprintf(
	    text, sizeof(text), "%d part%s sent again: damaged", damaged, damaged > 1 ? "s" : "");
	log_str(line, "note", text);
}

static void
log_done(const struct result *result)
{
	const struct msg_result *what = &result->what;
	bool skipped = what->result == TASK_SKIPPED;
	struct log_line line;
	char rate[32];

	log_begin(&line, LOG_INFO, "task %" PRId64 " %s", what->task,
	    skipped ? "skipped: destination exists" : "done");
	log_object(&line, result);
	log_int(&line, "worker", result->worker);
	if (!skipped) {
		log_int(&line, "bytes", what->bytes);
		log_int(&line, "ms", what->elapsed_ms);
		units_format_size(rate, sizeof(rate),
		    what->elapsed_ms > 0 ? what->bytes * 1000 / what->elapsed_ms : what->bytes);
		strlcat(rate, "/s", sizeof(rate));
		log_str(&line, "rate", rate);
		if (what->has_crc64)
			log_uint(&line, "crc64", what->crc64);
		if (what->copied)
			log_str(&line, "copied_by", "store");
	}
	log_str(&line, "verified_by", what->verified_by);
	if (what->streams > 0)
		log_int(&line, "streams", what->streams);
	if (what->resumed > 0)
		log_int(&line, "resumed", what->resumed);
	log_damaged(&line, what->damaged);
	log_int(&line, "peak_memory", what->peak_memory);
	log_end(&line);
}

static void
log_dropped(const struct result *result)
{
	struct log_line line;

	log_begin(&line, LOG_WARNING,
	    "task %" PRId64 ": the claim was revoked; the result of worker %d was dropped",
	    result->what.task, result->worker);
	log_object(&line, result);
	log_end(&line);
}

static void
log_refused(const struct result *result, const PGresult *res)
{
	struct log_line line;
	char why[384];

	log_begin(&line, LOG_ERR,
	    "task %" PRId64 ": its end cannot be recorded: %s; will try again", result->what.task,
	    db_error_origin(res, why, sizeof(why)));
	log_object(&line, result);
	log_end(&line);
}

static void
mark_dropped(struct queue *q, const PGresult *res)
{
	struct result *result;
	int64_t id, claim;
	int i;

	for (i = 0; i < PQntuples(res); i++) {
		id = strtoll(PQgetvalue(res, i, DROPPED_ID), NULL, 10);
		claim = strtoll(PQgetvalue(res, i, DROPPED_CLAIM), NULL, 10);
		TAILQ_FOREACH (result, &q->done.sent, entry)
			result->dropped |= result->what.task == id && result->what.claim == claim;
	}
}

static void
close_batch(struct queue *q)
{
	struct result *result;
	bool limited = false;

	while ((result = TAILQ_FIRST(&q->done.sent)) != NULL) {
		if (result->dropped)
			log_dropped(result);
		else
			log_done(result);
		limited |= result->limited;
		forget(q, &q->done.sent, result);
	}
	if (limited)
		quota_notify_room(q->limits);
}

/* The results that were sent are sent again, before the others. */
static void
put_back(struct queue *q)
{
	TAILQ_CONCAT(&q->done.sent, &q->done.waiting, entry);
	TAILQ_CONCAT(&q->done.waiting, &q->done.sent, entry);
}

/*
 * No row was written.  One of them may be the reason.  Ever smaller batches find that row, and it
 * goes to the end of the list, so that it holds up no others.
 */
static void
take_back(struct queue *q, const PGresult *res)
{
	struct result *last = TAILQ_LAST(&q->done.sent, result_list);
	bool alone = last == TAILQ_FIRST(&q->done.sent);
	int64_t now = clock_ms();

	if (alone) {
		if (!last->complained || now >= q->done.say_again_at) {
			log_refused(last, res);
			q->done.say_again_at = now + SAY_AGAIN_MS;
		}
		last->complained = true;
		TAILQ_CONCAT(&q->done.waiting, &q->done.sent, entry);
	} else {
		put_back(q);
	}
	q->done.batch = q->done.batch > 1 ? q->done.batch / 2 : 1;
	if (alone && TAILQ_FIRST(&q->done.waiting)->complained)
		q->done.retry_at = now + RETRY_MS;
}

/* No row was written, because the server lacks something: smaller batches would not help. */
static void
hold_back(struct queue *q, const PGresult *res)
{
	refusals_add(&q->node->refusals, WORK_DONE, res);
	put_back(q);
	q->done.retry_at = clock_ms() + RETRY_MS;
}

static void
settled(void *arg, enum db_status status, PGresult *res)
{
	struct queue *q = arg;

	q->done.sending = false;
	if (status == DB_ERROR && db_error_class(res) == DB_ERR_RESOURCES) {
		hold_back(q, res);
		return;
	}
	if (status != DB_OK) {
		take_back(q, res);
		return;
	}
	histogram_add(&q->state->figures.settles, histogram_of_statements,
	    (double)(clock_ms() - q->done.submitted_at) / 1000);
	refusals_relieve(&q->node->refusals, WORK_DONE);
	mark_dropped(q, res);
	close_batch(q);
	q->done.batch = q->done.batch * 2 < BATCH ? q->done.batch * 2 : BATCH;
}

/* The parameters of the statement. */
enum { ID, CLAIM, TOTAL, BYTES, CRC64, ETAG, VERIFIED_BY, PEAK, WARNING, COLUMNS };

static void
add_row(struct sqlarray *columns, const struct msg_result *what)
{
	sqlarray_add_int(&columns[ID], what->task);
	sqlarray_add_int(&columns[CLAIM], what->claim);
	if (what->bytes_total >= 0)
		sqlarray_add_int(&columns[TOTAL], what->bytes_total);
	else
		sqlarray_add_null(&columns[TOTAL]);
	sqlarray_add_int(&columns[BYTES], what->bytes);
	if (what->has_crc64)
		sqlarray_add_uint(&columns[CRC64], what->crc64);
	else
		sqlarray_add_null(&columns[CRC64]);
	if (what->etag[0] != '\0')
		sqlarray_add_str(&columns[ETAG], what->etag);
	else
		sqlarray_add_null(&columns[ETAG]);
	sqlarray_add_str(&columns[VERIFIED_BY], what->verified_by);
	sqlarray_add_int(&columns[PEAK], what->peak_memory);
	if (what->warning[0] != '\0')
		sqlarray_add_str(&columns[WARNING], what->warning);
	else
		sqlarray_add_null(&columns[WARNING]);
}

static void
submit(struct queue *q)
{
	struct sqlarray columns[COLUMNS];
	struct params p = { .n = 0 };
	struct db *second = second_db(q->node);
	struct result *result;
	int i, n;

	for (i = 0; i < COLUMNS; i++)
		sqlarray_init(&columns[i]);
	for (n = 0; n < q->done.batch && (result = TAILQ_FIRST(&q->done.waiting)) != NULL; n++) {
		TAILQ_REMOVE(&q->done.waiting, result, entry);
		TAILQ_INSERT_TAIL(&q->done.sent, result, entry);
		add_row(columns, &result->what);
	}
	for (i = 0; i < COLUMNS; i++)
		params_text(&p, sqlarray_finish(&columns[i]));
	q->done.sending = true;
	q->done.over_second = second != NULL;
	q->done.generation = second_generation(q->node);
	q->done.retry_at = 0;
	q->done.submitted_at = clock_ms();
	db_submit(
	    second != NULL ? second : q->node->db, &stmt_done, p.values, DB_REPEAT, settled, q);
	second_note_batch(q->node, n);
	for (i = 0; i < COLUMNS; i++)
		sqlarray_release(&columns[i]);
}

/* While the database is away, results wait here, so that more can join them. */
static bool
may_submit(const struct queue *q)
{
	return !q->done.sending && !TAILQ_EMPTY(&q->done.waiting) && db_is_up(q->node->db);
}

/*
 * When the next statement may be sent.  A statement for each result would cost more than its task.
 * So results gather for a moment, if more can be expected and no node waits for the room that they
 * leave.
 */
static int64_t
due_at(const struct queue *q)
{
	bool gathers = q->state->phase == PHASE_RUNNING && q->done.n < GATHER_ROWS &&
		       q->done.batch == BATCH && !quota_limits_transfers(q->limits) &&
		       pool_count_busy(q->pool) > 0;
	int64_t at = gathers ? q->done.submitted_at + GATHER_MS : 0;

	return q->done.retry_at > at ? q->done.retry_at : at;
}

/*
 * If the second connection is closed, it will not answer: its batch is sent again.  Rows that it
 * has settled are done already, and stay so.
 */
static void
take_from_second(struct queue *q)
{
	if (!q->done.sending || !q->done.over_second ||
	    q->done.generation == second_generation(q->node))
		return;
	q->done.sending = false;
	put_back(q);
}

void
done_run(struct queue *q)
{
	take_from_second(q);
	if (may_submit(q) && due_at(q) <= clock_ms())
		submit(q);
}

int64_t
done_deadline(const struct queue *q)
{
	int64_t at;

	if (!may_submit(q))
		return 0;
	at = due_at(q);
	return at != 0 ? at : clock_ms(); /* the last statement was answered in this turn */
}

bool
done_is_full(const struct queue *q)
{
	return q->done.n >= DONE_MAX;
}

int
done_count(const struct queue *q)
{
	return q->done.n;
}

static void
walk(const struct result_list *list, held_visit *visit, void *arg)
{
	const struct result *r;

	TAILQ_FOREACH (r, list, entry)
		visit(arg, &(struct held){ HELD_DONE, r->what.task, r->what.claim, 0, false });
}

void
done_walk(const struct queue *q, held_visit *visit, void *arg)
{
	walk(&q->done.sent, visit, arg);
	walk(&q->done.waiting, visit, arg);
}

void
done_discard(struct queue *q)
{
	while (!TAILQ_EMPTY(&q->done.sent))
		forget(q, &q->done.sent, TAILQ_FIRST(&q->done.sent));
	while (!TAILQ_EMPTY(&q->done.waiting))
		forget(q, &q->done.waiting, TAILQ_FIRST(&q->done.waiting));
}
