/*
 * The statements about the checkpoint: uploads and parts.
 *
 * All of them are sent again when their answer was lost, so all of them say the same when they find their work done.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "worker/checkpoint.h"
#include "worker/copy.h"
#include "worker/crc64.h"
#include "worker/memory.h"
#include "worker/parts.h"
#include "worker/query.h"

static const struct db_stmt stmt_load = { "upload_load",
	"SELECT upload_id, destination = $2, source_size, source_etag, part_size, completing, coalesce(host, $3) = $3, initiated, "
	"spoiled FROM ferry.upload WHERE task = $1 AND (NOT abandoned OR spoiled)", 3 };

static const struct db_stmt stmt_load_parts = { "part_load",
	"SELECT number, size, crc64, etag FROM ferry.part WHERE task = $1 AND upload_id = $2 ORDER BY number", 2 };

static const struct db_stmt stmt_total = { "task_total",
	"UPDATE ferry.task SET bytes_total = $3, bytes_done = $4, started_at = coalesce(started_at, now()) "
	"WHERE id = $1 AND claim = $2 AND state = 'running' RETURNING id", 4 };

static const struct db_stmt stmt_begin = { "upload_begin",
	"WITH t AS (UPDATE ferry.task SET bytes_total = nullif($5::bigint, -1), bytes_done = 0 "
	"WHERE id = $1 AND claim = $2 AND state = 'running' RETURNING id) "
	"INSERT INTO ferry.upload (task, upload_id, destination, claim, source_size, source_etag, part_size, host, initiated) "
	"SELECT t.id, $3, $4, $2, $5, $6, $7, $8, $9 FROM t "
	"ON CONFLICT (task, upload_id) DO UPDATE SET claim = excluded.claim, part_size = excluded.part_size, "
	"source_size = excluded.source_size, source_etag = excluded.source_etag RETURNING task", 9 };

/* The id goes in whoever's the row is by now: what cannot be used has to be found. */
static const struct db_stmt stmt_initiated = { "upload_initiated",
	"WITH u AS (UPDATE ferry.upload SET upload_id = $4, initiated = true WHERE task = $1 AND upload_id = $3) "
	"SELECT id FROM ferry.task WHERE id = $1 AND claim = $2 AND state = 'running'", 4 };

static const struct db_stmt stmt_part = { "part_done",
	"WITH t AS (UPDATE ferry.task SET bytes_total = nullif($8::bigint, -1), bytes_done = $9 "
	"WHERE id = $1 AND claim = $2 AND state = 'running' RETURNING id) "
	"INSERT INTO ferry.part (task, upload_id, number, size, crc64, etag) SELECT t.id, $3, $4, $5, $6, $7 FROM t "
	"ON CONFLICT (task, upload_id, number) DO UPDATE SET size = excluded.size, crc64 = excluded.crc64, "
	"etag = excluded.etag RETURNING number", 9 };

static const struct db_stmt stmt_intend = { "upload_intend",
	"WITH t AS (SELECT id FROM ferry.task WHERE id = $1 AND claim = $2 AND state = 'running' FOR UPDATE) "
	"UPDATE ferry.upload u SET completing = true FROM t WHERE u.task = t.id AND u.upload_id = $3 RETURNING u.task", 3 };

static const struct db_stmt stmt_abandon = { "upload_abandon",
	"WITH t AS (SELECT id FROM ferry.task WHERE id = $1 AND claim = $2 AND state = 'running' FOR UPDATE), "
	"u AS (UPDATE ferry.upload u SET abandoned = true FROM t WHERE u.task = t.id AND u.upload_id = $3) "
	"SELECT id FROM t", 3 };

static const struct db_stmt stmt_forget = { "upload_forget",
	"WITH t AS (SELECT id FROM ferry.task WHERE id = $1 AND claim = $2 AND state = 'running' FOR UPDATE), "
	"u AS (DELETE FROM ferry.upload u USING t WHERE u.task = t.id AND u.upload_id = $3) "
	"SELECT id FROM t", 3 };

static const struct db_stmt stmt_forget_cancelled = { "upload_forget_cancelled",
	"DELETE FROM ferry.upload u USING ferry.task t WHERE t.id = $1 AND t.claim = $2 AND t.state = 'cancelled' "
	"AND u.task = t.id AND u.upload_id = $3", 3 };

static const struct db_stmt stmt_spoil = { "upload_spoil",
	"INSERT INTO ferry.upload (task, claim, upload_id, destination, source_size, source_etag, part_size, initiated, spoiled) "
	"VALUES ($1, $2, $3, $4, $5, '', 0, true, true) ON CONFLICT (task, upload_id) DO NOTHING", 5 };

static const struct db_stmt stmt_unspoil = { "upload_unspoil",
	"DELETE FROM ferry.upload WHERE task = $1 AND upload_id = $2 AND spoiled", 2 };

static const struct db_stmt stmt_ask = { "task_owner",
	"SELECT state, claim = $2 FROM ferry.task WHERE id = $1", 2 };

static void
query_task(struct query *q, const struct db_stmt *stmt, const struct transfer *t)
{
	query_init(q, stmt);
	query_int(q, t->task->id);
	query_int(q, t->task->claim);
}

static void
take_upload(struct checkpoint *c, const PGresult *res, int row)
{
	/* one that does not fit is none of ours, and is not taken up */
	c->found = strlcpy(c->upload_id, PQgetvalue(res, row, 0), sizeof(c->upload_id)) < sizeof(c->upload_id);
	c->same_destination = PQgetvalue(res, row, 1)[0] == 't';
	c->source_size = strtoll(PQgetvalue(res, row, 2), NULL, 10);
	strlcpy(c->source_etag, PQgetvalue(res, row, 3), sizeof(c->source_etag));
	c->part_size = strtoll(PQgetvalue(res, row, 4), NULL, 10);
	c->completing = PQgetvalue(res, row, 5)[0] == 't';
	c->same_host = PQgetvalue(res, row, 6)[0] == 't';
	c->initiated = PQgetvalue(res, row, 7)[0] == 't';
}

static void
take_load(void *arg, const PGresult *res)
{
	struct checkpoint *c = arg;
	int row;

	memset(c, 0, sizeof(*c));
	for (row = 0; row < PQntuples(res); row++) {
		if (PQgetvalue(res, row, 8)[0] != 't') {
			take_upload(c, res, row);
		} else if (PQgetvalue(res, row, 1)[0] == 't' || c->spoiled[0] == '\0') {
			strlcpy(c->spoiled, PQgetvalue(res, row, 0), sizeof(c->spoiled));
			c->spoiled_here = PQgetvalue(res, row, 1)[0] == 't';
		}
	}
}

int
checkpoint_load(struct transfer *t)
{
	struct query q;

	query_init(&q, &stmt_load);
	query_int(&q, t->task->id);
	query_str(&q, t->task->destination);
	query_str(&q, t->w->host);
	return query_wait(t->w, &q, take_load, &t->checkpoint, &t->failure);
}

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
		if (crc64_parse(PQgetvalue(res, i, 2), &crc64) == 0)
			v->visit(v->t, (int)strtol(PQgetvalue(res, i, 0), NULL, 10),
			    strtoll(PQgetvalue(res, i, 1), NULL, 10), crc64, PQgetvalue(res, i, 3));
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

/* Whoever is told does not wait, and may carry another task by then. */
struct part_note {
	struct worker *w;
	int64_t task;
	int64_t claim;
	bool of_part; /* else of the task's progress alone */
};

/* A part that is not recorded is sent again after a crash, nothing worse: said once, until one is recorded. */
static void
note_refusal(const struct part_note *note, const PGresult *refusal)
{
	static bool refused[2];
	const char *what = note->of_part ? "parts" : "progress";
	char message[256];

	if (refusal != NULL && !refused[note->of_part])
		log_warn("task %" PRId64 ": %s cannot be recorded: %s", note->task, what,
		    db_error_message(refusal, message, sizeof(message)));
	else if (refusal == NULL && refused[note->of_part])
		log_info("task %" PRId64 ": %s can be recorded again", note->task, what);
	refused[note->of_part] = refusal != NULL;
}

static void
on_part(void *arg, enum db_status status, PGresult *res)
{
	struct part_note *note = arg;
	struct worker *w = note->w;

	if (status == DB_OK || (status == DB_ERROR && res != NULL))
		note_refusal(note, status == DB_OK ? NULL : res);
	if (status == DB_OK && PQntuples(res) == 0) {
		if (w->has_task && w->task.id == note->task && w->task.claim == note->claim)
			w->stale = true;
	}
	memory_free(note);
}

static void
checkpoint_note(struct transfer *t, const struct query *q, bool of_part)
{
	struct part_note *note = memory_alloc(sizeof(*note));

	note->w = t->w;
	note->task = t->task->id;
	note->claim = t->task->claim;
	note->of_part = of_part;
	db_submit(t->w->db, q->stmt, q->params, DB_REPEAT, on_part, note);
}

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
	checkpoint_note(t, &q, false);
}

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
	query_int(&q, t->streaming ? -1 : t->size);
	query_int(&q, t->bytes_done);
	checkpoint_note(t, &q, true);
}

static void
take_any(void *arg, const PGresult *res)
{
	*(bool *)arg = PQntuples(res) > 0;
}

/* One that must find the row ours. */
static int
checkpoint_write(struct transfer *t, const struct query *q)
{
	bool ours = false;

	if (query_wait(t->w, q, take_any, &ours, &t->failure) == -1)
		return -1;
	if (ours)
		return 0;
	t->w->stale = true;
	return -1;
}

int
checkpoint_begin(struct transfer *t, const char *upload_id, bool initiated)
{
	char pin[COPY_PIN_SIZE];
	struct query q;

	query_task(&q, &stmt_begin, t);
	query_str(&q, upload_id);
	query_str(&q, t->task->destination);
	query_int(&q, t->streaming ? -1 : t->size);
	query_str(&q, copy_pin(t, pin));
	query_int(&q, t->part_size);
	query_str(&q, t->target.is_file ? t->w->host : NULL);
	query_str(&q, initiated ? "true" : "false");
	return checkpoint_write(t, &q);
}

int
checkpoint_initiated(struct transfer *t, const char *intent)
{
	struct query q;

	query_task(&q, &stmt_initiated, t);
	query_str(&q, intent);
	query_str(&q, t->upload_id);
	return checkpoint_write(t, &q);
}

static int
checkpoint_about_upload(struct transfer *t, const struct db_stmt *stmt, const char *upload_id)
{
	struct query q;

	query_task(&q, stmt, t);
	query_str(&q, upload_id);
	return checkpoint_write(t, &q);
}

int
checkpoint_intend(struct transfer *t)
{
	return checkpoint_about_upload(t, &stmt_intend, t->upload_id);
}

int
checkpoint_abandon(struct transfer *t, const char *upload_id)
{
	return checkpoint_about_upload(t, &stmt_abandon, upload_id);
}

int
checkpoint_forget(struct transfer *t, const char *upload_id)
{
	return checkpoint_about_upload(t, &stmt_forget, upload_id);
}

void
checkpoint_forget_cancelled(struct transfer *t, const char *upload_id)
{
	struct failure f;
	struct query q;

	query_task(&q, &stmt_forget_cancelled, t);
	query_str(&q, upload_id);
	query_insist(t->w, &q, NULL, NULL, &f);
}

void
checkpoint_spoil(struct transfer *t, const char *etag)
{
	struct failure f;
	struct query q;

	query_task(&q, &stmt_spoil, t);
	query_str(&q, etag);
	query_str(&q, t->task->destination);
	query_int(&q, t->size);
	query_insist(t->w, &q, NULL, NULL, &f);
}

void
checkpoint_unspoil(struct transfer *t, const char *etag)
{
	struct failure f;
	struct query q;

	query_init(&q, &stmt_unspoil);
	query_int(&q, t->task->id);
	query_str(&q, etag);
	query_insist(t->w, &q, NULL, NULL, &f);
}

static void
take_owner(void *arg, const PGresult *res)
{
	enum checkpoint_owner *owner = arg;

	*owner = OWNER_OTHER;
	if (PQntuples(res) == 0 || PQgetvalue(res, 0, 1)[0] != 't')
		return;
	if (strcmp(PQgetvalue(res, 0, 0), "running") == 0)
		*owner = OWNER_US;
	else if (strcmp(PQgetvalue(res, 0, 0), "cancelled") == 0)
		*owner = OWNER_CANCELLED;
}

enum checkpoint_owner
checkpoint_ask(struct transfer *t)
{
	enum checkpoint_owner owner = OWNER_UNKNOWN;
	struct failure f;
	struct query q;

	query_task(&q, &stmt_ask, t);
	if (query_insist(t->w, &q, take_owner, &owner, &f) != 0)
		return OWNER_UNKNOWN;
	return owner;
}
