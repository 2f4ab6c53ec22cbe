/*
 * A statement is sent again if its answer is lost.  So each gives the same answer when it finds its
 * work done.
 */
#include "worker/transfer/checkpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "worker/base/crc64.h"
#include "worker/base/memory.h"
#include "worker/event/query.h"
#include "worker/transfer/parts.h"
#include "worker/transfer/private.h"

static void
take_any(void *arg, const PGresult *res)
{
	*(bool *)arg = PQntuples(res) > 0;
}

/* Sends a statement that returns a row if the claim is ours. */
static int
write_claimed(struct transfer *t, const struct query *q)
{
	bool ours = false;

	if (query_wait(t->w, q, take_any, &ours, &t->failure) == -1)
		return -1;
	if (ours)
		return 0;
	t->w->revoked = true;
	return -1;
}

/* Likewise, with the id of an upload as $3. */
static int
write_about_upload(struct transfer *t, const struct db_stmt *stmt, const char *upload_id)
{
	struct query q;

	query_task(&q, stmt, t);
	query_str(&q, upload_id);
	return write_claimed(t, &q);
}

/* A row for each upload of the task; if it has none, a row of NULLs; no row if it is not ours. */
static const struct db_stmt stmt_load = { "upload_load",
	"SELECT u.upload_id, u.destination = $3, u.source_size, u.source_etag, u.part_size, "
	"u.completing, coalesce(u.host, $4) = $4, u.initiated, u.spoiled, t.bytes_gained "
	"FROM ferry.task t "
	"LEFT JOIN ferry.upload u ON u.task = t.id AND u.first_claim = t.first_claim "
	"AND (NOT u.abandoned OR u.spoiled) "
	"WHERE t.id = $1 AND t.claim = $2 AND t.state = 'running'",
	4 };

enum load_column {
	LOAD_UPLOAD_ID,
	LOAD_SAME_DESTINATION,
	LOAD_SOURCE_SIZE,
	LOAD_SOURCE_ETAG,
	LOAD_PART_SIZE,
	LOAD_COMPLETING,
	LOAD_SAME_HOST,
	LOAD_INITIATED,
	LOAD_SPOILED,
	LOAD_GAINED,
};

static void
take_upload(struct checkpoint *c, const PGresult *res, int row)
{
	/* an id that does not fit is none of ours */
	c->found = strlcpy(c->upload_id, PQgetvalue(res, row, LOAD_UPLOAD_ID),
		       sizeof(c->upload_id)) < sizeof(c->upload_id);
	c->same_destination = column_is_true(res, row, LOAD_SAME_DESTINATION);
	c->source_size = strtoll(PQgetvalue(res, row, LOAD_SOURCE_SIZE), NULL, 10);
	strlcpy(c->source_etag, PQgetvalue(res, row, LOAD_SOURCE_ETAG), sizeof(c->source_etag));
	c->part_size = strtoll(PQgetvalue(res, row, LOAD_PART_SIZE), NULL, 10);
	c->completing = column_is_true(res, row, LOAD_COMPLETING);
	c->same_host = column_is_true(res, row, LOAD_SAME_HOST);
	c->initiated = column_is_true(res, row, LOAD_INITIATED);
}

static void
take_load(void *arg, const PGresult *res)
{
	struct transfer *t = arg;
	struct checkpoint *c = &t->checkpoint;
	bool here;
	int row;

	memset(c, 0, sizeof(*c));
	t->w->revoked |= PQntuples(res) == 0;
	for (row = 0; row < PQntuples(res); row++) {
		c->gained = strtoll(PQgetvalue(res, row, LOAD_GAINED), NULL, 10);
		if (PQgetisnull(res, row, LOAD_UPLOAD_ID))
			continue;
		if (!column_is_true(res, row, LOAD_SPOILED)) {
			take_upload(c, res, row);
			continue;
		}
		here = column_is_true(res, row, LOAD_SAME_DESTINATION);
		if (here || c->spoiled[0] == '\0') {
			strlcpy(
			    c->spoiled, PQgetvalue(res, row, LOAD_UPLOAD_ID), sizeof(c->spoiled));
			c->spoiled_here = here;
		}
	}
}

int
checkpoint_load(struct transfer *t)
{
	struct query q;

	query_task(&q, &stmt_load, t);
	query_str(&q, t->task->destination);
	query_str(&q, t->w->host);
	if (query_wait(t->w, &q, take_load, t, &t->failure) == -1)
		return -1;
	return t->w->revoked ? -1 : 0;
}

static const struct db_stmt stmt_load_parts = { "part_load",
	"SELECT number, size, crc64, etag "
	"FROM ferry.part "
	"WHERE task = $1 AND upload_id = $2 "
	"ORDER BY number",
	2 };

enum part_column { PART_NUMBER, PART_SIZE, PART_CRC64, PART_ETAG };

struct part_visitor {
	struct transfer *t;
	checkpoint_part_visit *visit;
};

static void
take_parts(void *arg, const PGresult *res)
{
	struct part_visitor *v = arg;
	uint64_t crc64;
	int i;

	for (i = 0; i < PQntuples(res); i++) {
		if (crc64_parse(PQgetvalue(res, i, PART_CRC64), &crc64) == 0)
			v->visit(v->t, (int)strtol(PQgetvalue(res, i, PART_NUMBER), NULL, 10),
			    strtoll(PQgetvalue(res, i, PART_SIZE), NULL, 10), crc64,
			    PQgetvalue(res, i, PART_ETAG));
	}
}

int
checkpoint_load_parts(struct transfer *t, checkpoint_part_visit *visit)
{
	struct part_visitor v = { t, visit };
	struct query q;

	query_init(&q, &stmt_load_parts);
	query_int(&q, t->task->id);
	query_str(&q, t->checkpoint.upload_id);
	return query_wait(t->w, &q, take_parts, &v, &t->failure);
}

/* The step does not wait for the answer; the worker may carry another task by then. */
struct note {
	struct worker *w;
	int64_t task;
	int64_t claim;
	bool of_part; /* else of the task's progress alone */
};

static bool
is_in_work(const struct note *note)
{
	const struct worker *w = note->w;

	return w->has_task && w->task.id == note->task && w->task.claim == note->claim;
}

/*
 * A part that is not recorded is sent again after a crash: nothing worse.  So a refusal is logged
 * once, until a part is recorded again.
 */
static void
log_refusal(const struct note *note, const PGresult *refusal)
{
	static bool refused[2];
	const char *what = note->of_part ? "parts" : "progress";
	const struct task *task = &note->w->task;
	char message[256];

	if (!is_in_work(note)) /* another task will meet the same */
		return;
	if (refusal != NULL && !refused[note->of_part])
		task_log(task, LOG_WARNING, ": %s cannot be recorded: %s", what,
		    db_error_message(refusal, message, sizeof(message)));
	else if (refusal == NULL && refused[note->of_part])
		task_log(task, LOG_INFO, ": %s can be recorded again", what);
	refused[note->of_part] = refusal != NULL;
}

static void
on_noted(void *arg, enum db_status status, PGresult *res)
{
	struct note *note = arg;
	struct worker *w = note->w;

	if (status == DB_OK || (status == DB_ERROR && res != NULL))
		log_refusal(note, status == DB_OK ? NULL : res);
	if (status == DB_OK && PQntuples(res) == 0 && is_in_work(note))
		w->revoked = true;
	memory_free(note);
}

/* Sends a statement and does not wait. */
static void
write_note(struct transfer *t, const struct query *q, bool of_part)
{
	struct note *note = memory_alloc(sizeof(*note));

	note->w = t->w;
	note->task = t->task->id;
	note->claim = t->task->claim;
	note->of_part = of_part;
	db_submit(t->w->db, q->stmt, q->params.values, DB_REPEAT, on_noted, note);
}

static const struct db_stmt stmt_total = { "task_total",
	"UPDATE ferry.task "
	"SET bytes_total = $3, bytes_done = $4, started_at = coalesce(started_at, now()) "
	"WHERE id = $1 AND claim = $2 AND state = 'running' "
	"RETURNING id",
	4 };

void
checkpoint_total(struct transfer *t)
{
	struct query q;

	query_task(&q, &stmt_total, t);
	if (t->size >= 0)
		query_int(&q, t->size);
	else
		query_null(&q);
	query_int(&q, t->bytes_done);
	write_note(t, &q, false);
}

/* How far the task is does not stand here: the master writes that. */
static const struct db_stmt stmt_part = { "part_done",
	"WITH t AS (SELECT id, first_claim FROM ferry.task "
	"WHERE id = $1 AND claim = $2 AND state = 'running' "
	"FOR NO KEY UPDATE) "
	"INSERT INTO ferry.part (task, upload_id, number, size, crc64, etag) "
	"SELECT u.task, u.upload_id, $4, $5, $6, $7 "
	"FROM t JOIN ferry.upload u "
	"ON u.task = t.id AND u.upload_id = $3 AND u.first_claim = t.first_claim "
	"ON CONFLICT (task, upload_id, number) DO UPDATE "
	"SET size = excluded.size, crc64 = excluded.crc64, etag = excluded.etag "
	"RETURNING number",
	7 };

void
checkpoint_part(struct transfer *t, int number)
{
	const struct part *part = &t->parts[number - 1];
	struct query q;

	query_task(&q, &stmt_part, t);
	query_str(&q, t->upload_id);
	query_int(&q, number);
	query_int(&q, transfer_part_size(t, number));
	query_uint(&q, part->crc64);
	query_str(&q, parts_etag(part));
	write_note(t, &q, true);
}

static const struct db_stmt stmt_begin = { "upload_begin",
	"WITH t AS (UPDATE ferry.task "
	"SET bytes_total = nullif($5::bigint, -1), bytes_done = 0 "
	"WHERE id = $1 AND claim = $2 AND state = 'running' "
	"RETURNING id, claim, first_claim) "
	"INSERT INTO ferry.upload (task, upload_id, destination, claim, source_size, source_etag, "
	"part_size, host, initiated, first_claim) "
	"SELECT t.id, $3, $4, t.claim, $5, $6, $7, $8, $9, t.first_claim FROM t "
	"ON CONFLICT (task, upload_id) DO UPDATE "
	"SET claim = excluded.claim, part_size = excluded.part_size, "
	"source_size = excluded.source_size, source_etag = excluded.source_etag "
	"RETURNING task",
	9 };

#define COPY_OF "copy of "

bool
checkpoint_is_of_source(const struct transfer *t)
{
	const struct checkpoint *c = &t->checkpoint;
	bool copied = strncmp(c->source_etag, COPY_OF, strlen(COPY_OF)) == 0;

	return copied == transfer_is_copy(t) && c->source_size == t->size &&
	       pin_is_text(&t->source.pin, c->source_etag + (copied ? strlen(COPY_OF) : 0));
}

/*
 * The checkpoint's name for the source.  An ETag never contains a space, so the kinds cannot be
 * confused.  Returns pin.
 */
static const char *
name_source(const struct transfer *t, char pin[CHECKPOINT_PIN_SIZE])
{
	char text[PIN_TEXT_MAX];

	snprintf(pin, CHECKPOINT_PIN_SIZE, "%s%s", transfer_is_copy(t) ? COPY_OF : "",
	    pin_text(&t->source.pin, text));
	return pin;
}

const char *
checkpoint_stand_in(const struct transfer *t, char stand_in[CHECKPOINT_STAND_IN_SIZE])
{
	snprintf(stand_in, CHECKPOINT_STAND_IN_SIZE, "intent of claim %" PRId64, t->task->claim);
	return stand_in;
}

int
checkpoint_begin(struct transfer *t, const char *upload_id, bool initiated)
{
	char pin[CHECKPOINT_PIN_SIZE];
	struct query q;

	query_task(&q, &stmt_begin, t);
	query_str(&q, upload_id);
	query_str(&q, t->task->destination);
	query_int(&q, transfer_total(t));
	query_str(&q, name_source(t, pin));
	query_int(&q, t->part_size);
	query_str(&q, transfer_to_file(t) ? t->w->host : NULL);
	query_str(&q, initiated ? "true" : "false");
	return write_claimed(t, &q);
}

/* Records the id even if the claim is revoked, so that the reaper can find the upload. */
static const struct db_stmt stmt_initiated = { "upload_initiated",
	"WITH u AS (UPDATE ferry.upload "
	"SET upload_id = $4, initiated = true "
	"WHERE task = $1 AND claim = $2 AND upload_id = $3) "
	"SELECT id FROM ferry.task "
	"WHERE id = $1 AND claim = $2 AND state = 'running'",
	4 };

int
checkpoint_initiated(struct transfer *t, const char *stand_in)
{
	struct query q;

	query_task(&q, &stmt_initiated, t);
	query_str(&q, stand_in);
	query_str(&q, t->upload_id);
	return write_claimed(t, &q);
}

/* The task, locked, if the claim is ours. */
#define OURS_LOCKED                                           \
	"t AS (SELECT id, first_claim FROM ferry.task "       \
	"WHERE id = $1 AND claim = $2 AND state = 'running' " \
	"FOR UPDATE)"

/* Its upload $3. */
#define ITS_UPLOAD "u.task = t.id AND u.first_claim = t.first_claim AND u.upload_id = $3"

static const struct db_stmt stmt_intend = { "upload_intend",
	"WITH " OURS_LOCKED " "
	"UPDATE ferry.upload u "
	"SET completing = true "
	"FROM t "
	"WHERE " ITS_UPLOAD " "
	"RETURNING u.task",
	3 };

int
checkpoint_intend(struct transfer *t)
{
	return write_about_upload(t, &stmt_intend, t->upload_id);
}

static const struct db_stmt stmt_abandon = { "upload_abandon",
	"WITH " OURS_LOCKED ", "
	"u AS (UPDATE ferry.upload u "
	"SET abandoned = true "
	"FROM t "
	"WHERE " ITS_UPLOAD ") "
	"SELECT id FROM t",
	3 };

int
checkpoint_abandon(struct transfer *t, const char *upload_id)
{
	return write_about_upload(t, &stmt_abandon, upload_id);
}

static const struct db_stmt stmt_forget = { "upload_forget",
	"WITH " OURS_LOCKED ", "
	"u AS (DELETE FROM ferry.upload u "
	"USING t "
	"WHERE " ITS_UPLOAD ") "
	"SELECT id FROM t",
	3 };

int
checkpoint_forget(struct transfer *t, const char *upload_id)
{
	return write_about_upload(t, &stmt_forget, upload_id);
}

static const struct db_stmt stmt_forget_cancelled = { "upload_forget_cancelled",
	"DELETE FROM ferry.upload u "
	"USING ferry.task t "
	"WHERE t.id = $1 AND t.claim = $2 AND t.state = 'cancelled' "
	"AND " ITS_UPLOAD,
	3 };

void
checkpoint_forget_cancelled(struct transfer *t, const char *upload_id)
{
	struct failure f;
	struct query q;

	query_task(&q, &stmt_forget_cancelled, t);
	query_str(&q, upload_id);
	query_insist(t->w, &q, NULL, NULL, &f);
}
