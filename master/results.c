/*
 * Owns the list of results that wait for their rows, and the statement that settles them.
 */
#include "master/results.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/units.h"
#include "master/pool.h"
#include "master/quota.h"
#include "master/second.h"

#define BATCH 1024 /* rows of one statement */
#define RETRY_MS 2000
#define GATHER_MS 5 /* between two statements, while tasks end faster than that */
#define GATHER_ROWS 128 /* worth a statement at any time */

struct result {
	TAILQ_ENTRY(result) entry;
	int worker;
	bool limited; /* others may wait for the room that it leaves */
	bool dropped;
	bool complained; /* the database's refusal has been logged */
	struct msg_result what;
};

/*
 * One array for each column.  The answer names the rows that it is not about: their claim is stale, or they are not running any
 * more.  Sent again after its answer was lost, it finds them done, with the claim of ours that made them so.
 */
static const struct db_stmt stmt_done = {
	.name = "settle_done",
	.nparams = 8,
	.sql = "WITH r AS MATERIALIZED (SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::numeric[], "
	       "$6::text[], $7::text[], $8::bigint[]) AS r(id, claim, total, bytes, crc64, etag, verified_by, peak)), "
	       "done AS (UPDATE ferry.task t SET state = 'done', bytes_total = coalesce(r.total, t.bytes_total), bytes_done = r.bytes, "
	       "crc64 = r.crc64, etag = r.etag, verified_by = r.verified_by, peak_memory = r.peak, error = NULL, error_class = NULL, "
	       "finished_at = now() FROM r WHERE t.id = r.id AND t.claim = r.claim AND t.state = 'running' "
	       "RETURNING t.id), "
	       "gone AS (DELETE FROM ferry.upload u USING done WHERE u.task = done.id AND NOT u.abandoned) "
	       "SELECT r.id, r.claim FROM r WHERE NOT EXISTS (SELECT FROM done WHERE done.id = r.id) "
	       "AND NOT EXISTS (SELECT FROM ferry.task t WHERE t.id = r.id AND t.claim = r.claim AND t.state = 'done')",
};

void
results_init(struct master *m)
{
	TAILQ_INIT(&m->results.waiting);
	TAILQ_INIT(&m->results.sent);
	m->results.batch = BATCH;
}

/* A server may say anything; one byte that the database does not take would hold up all rows of the statement. */
static void
make_printable(char *text)
{
	for (; *text != '\0'; text++)
		if (!isascii((unsigned char)*text) || !isprint((unsigned char)*text))
			*text = '?';
}

void
results_add(struct master *m, const struct slot *slot, const struct msg_result *what)
{
	struct result *result = calloc(1, sizeof(*result));
	int i;

	if (result == NULL)
		fatal(71, "out of memory"); /* EX_OSERR: the lease brings the task back */
	result->what = *what;
	result->worker = slot->number;
	for (i = 0; i < SLOT_USES; i++)
		result->limited |= quota_find(m, slot, i) != NULL;
	make_printable(result->what.etag);
	make_printable(result->what.verified_by);
	TAILQ_INSERT_TAIL(&m->results.waiting, result, entry);
	m->results.n++;
}

static void
forget(struct master *m, struct result_list *list, struct result *result)
{
	TAILQ_REMOVE(list, result, entry);
	m->results.n--;
	free(result);
}

static void
log_done(const struct result *result)
{
	const struct msg_result *what = &result->what;
	bool skipped = what->result == TASK_SKIPPED;
	struct log_line line;
	char rate[32];

	log_begin(&line, LOG_INFO, "task %" PRId64 " %s", what->task, skipped ? "skipped: destination exists" : "done");
	log_int(&line, "task", what->task);
	log_int(&line, "worker", result->worker);
	if (!skipped) {
		log_int(&line, "bytes", what->bytes);
		log_int(&line, "ms", what->elapsed_ms);
		units_format_size(rate, sizeof(rate), what->elapsed_ms > 0 ? what->bytes * 1000 / what->elapsed_ms : what->bytes);
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
	log_int(&line, "peak_memory", what->peak_memory);
	log_end(&line);
}

static void
mark_dropped(struct master *m, const PGresult *res)
{
	struct result *result;
	int64_t id;
	int i;

	for (i = 0; i < PQntuples(res); i++) {
		id = strtoll(PQgetvalue(res, i, 0), NULL, 10);
		TAILQ_FOREACH (result, &m->results.sent, entry)
			result->dropped |= result->what.task == id;
	}
}

static void
close_batch(struct master *m)
{
	struct result *result;
	bool limited = false;

	while ((result = TAILQ_FIRST(&m->results.sent)) != NULL) {
		if (result->dropped)
			log_warn("task %" PRId64 ": somebody else has the claim; the result of worker %d was dropped",
			    result->what.task, result->worker);
		else
			log_done(result);
		limited |= result->limited;
		forget(m, &m->results.sent, result);
	}
	if (limited)
		quota_made_room(m);
}

/* What has been sent is to be sent again before the rest. */
static void
put_back(struct master *m)
{
	TAILQ_CONCAT(&m->results.sent, &m->results.waiting, entry);
	TAILQ_CONCAT(&m->results.waiting, &m->results.sent, entry);
}

/*
 * Not one row has been written.  What is wrong may be wrong with one of them: ever smaller batches find it, and it goes to the
 * end of the list, so that it holds up no others.
 */
static void
take_back(struct master *m, const PGresult *res)
{
	struct result *last = TAILQ_LAST(&m->results.sent, result_list);
	bool alone = last == TAILQ_FIRST(&m->results.sent);
	char why[256];

	if (alone) {
		if (!last->complained)
			log_error("task %" PRId64 ": its end cannot be recorded: %s; will try again", last->what.task,
			    db_error_message(res, why, sizeof(why)));
		last->complained = true;
		TAILQ_CONCAT(&m->results.waiting, &m->results.sent, entry);
	} else {
		put_back(m);
	}
	m->results.batch = m->results.batch > 1 ? m->results.batch / 2 : 1;
	if (alone && TAILQ_FIRST(&m->results.waiting)->complained)
		m->results.retry_at = clock_ms() + RETRY_MS;
}

/* Nor has one here, but it is the server that lacks something, and would lack it for each row by itself. */
static void
hold_back(struct master *m, const PGresult *res)
{
	char why[256];

	if (!m->results.refused)
		log_error("the ends of tasks cannot be recorded: %s; will try again", db_error_message(res, why, sizeof(why)));
	m->results.refused = true;
	put_back(m);
	m->results.retry_at = clock_ms() + RETRY_MS;
}

static void
settled(void *arg, enum db_status status, PGresult *res)
{
	struct master *m = arg;

	m->results.sending = false;
	if (status == DB_ERROR && db_error_class(res) == DB_ERR_RESOURCES) {
		hold_back(m, res);
		return;
	}
	if (status != DB_OK) {
		take_back(m, res);
		return;
	}
	if (m->results.refused)
		log_info("the ends of tasks can be recorded again");
	m->results.refused = false;
	mark_dropped(m, res);
	close_batch(m);
	m->results.batch = m->results.batch * 2 < BATCH ? m->results.batch * 2 : BATCH;
}

/* The columns of the statement. */
enum { ID, CLAIM, TOTAL, BYTES, CRC64, ETAG, VERIFIED_BY, PEAK, COLUMNS };

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
}

static void
submit(struct master *m)
{
	struct sqlarray columns[COLUMNS];
	const char *params[COLUMNS];
	struct db *second = second_db(m);
	struct result *result;
	int i, n;

	for (i = 0; i < COLUMNS; i++)
		sqlarray_init(&columns[i]);
	for (n = 0; n < m->results.batch && (result = TAILQ_FIRST(&m->results.waiting)) != NULL; n++) {
		TAILQ_REMOVE(&m->results.waiting, result, entry);
		TAILQ_INSERT_TAIL(&m->results.sent, result, entry);
		add_row(columns, &result->what);
	}
	for (i = 0; i < COLUMNS; i++)
		params[i] = sqlarray_finish(&columns[i]);
	m->results.sending = true;
	m->results.over_second = second != NULL;
	m->results.retry_at = 0;
	m->results.submitted_at = clock_ms();
	db_submit(second != NULL ? second : m->db, &stmt_done, params, DB_REPEAT, settled, m);
	second_note_batch(m, n);
	for (i = 0; i < COLUMNS; i++)
		sqlarray_release(&columns[i]);
}

/* An unreachable database gets its statement when it is back: until then more can join. */
static bool
may_submit(const struct master *m)
{
	return !m->results.sending && !TAILQ_EMPTY(&m->results.waiting) && db_is_up(m->db);
}

/*
 * When the next statement may go.  One for each result would cost more than what it is about; so results gather for a moment, if others
 * are to be expected and nobody waits for the room that these leave.
 */
static int64_t
due_at(const struct master *m)
{
	bool gathers = m->phase == PHASE_RUNNING && m->results.n < GATHER_ROWS && m->results.batch == BATCH &&
	    !quota_limits_transfers(m) && pool_count_busy(m) > 0;
	int64_t at = gathers ? m->results.submitted_at + GATHER_MS : 0;

	return m->results.retry_at > at ? m->results.retry_at : at;
}

void
results_run(struct master *m)
{
	if (may_submit(m) && due_at(m) <= clock_ms())
		submit(m);
}

int64_t
results_deadline(const struct master *m)
{
	int64_t at;

	if (!may_submit(m))
		return 0;
	at = due_at(m);
	return at != 0 ? at : clock_ms(); /* answered since the last turn */
}

void
results_second_closed(struct master *m)
{
	if (!m->results.sending || !m->results.over_second)
		return;
	m->results.sending = m->results.over_second = false;
	put_back(m);
}

bool
results_are_full(const struct master *m)
{
	return m->results.n >= RESULTS_MAX;
}

int
results_count(const struct master *m)
{
	return m->results.n;
}

void
results_list(const struct master *m, struct sqlarray *ids, struct sqlarray *claims)
{
	const struct result_list *lists[] = { &m->results.sent, &m->results.waiting };
	const struct result *result;
	size_t i;

	for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		TAILQ_FOREACH (result, lists[i], entry) {
			sqlarray_add_int(ids, result->what.task);
			sqlarray_add_int(claims, result->what.claim);
		}
}

void
results_discard(struct master *m)
{
	while (!TAILQ_EMPTY(&m->results.sent))
		forget(m, &m->results.sent, TAILQ_FIRST(&m->results.sent));
	while (!TAILQ_EMPTY(&m->results.waiting))
		forget(m, &m->results.waiting, TAILQ_FIRST(&m->results.waiting));
}
