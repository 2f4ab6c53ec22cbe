/*
 * Waiting for the database.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "common/clock.h"
#include "common/log.h"
#include "worker/loop.h"
#include "worker/memory.h"
#include "worker/query.h"

#define QUERY_AGAIN_MS 500
#define QUERY_LOOK_MS 1000

/* On the heap, for the answer may outlive the question. */
struct query_call {
	bool done;
	bool orphan; /* nobody waits: the callback frees it */
	enum db_status status;
	enum db_error error;
	query_take *take;
	void *arg;
	char message[256];
};

void
query_init(struct query *q, const struct db_stmt *stmt)
{
	memset(q, 0, sizeof(*q));
	q->stmt = stmt;
}

void
query_str(struct query *q, const char *value)
{
	if (q->nparams == QUERY_PARAMS_MAX)
		fatal(EX_SOFTWARE, "%s: too many parameters", q->stmt->name);
	q->params[q->nparams++] = value;
}

void
query_int(struct query *q, int64_t value)
{
	snprintf(q->numbers[q->nparams], sizeof(q->numbers[0]), "%" PRId64, value);
	query_str(q, q->numbers[q->nparams]);
}

void
query_uint(struct query *q, uint64_t value)
{
	snprintf(q->numbers[q->nparams], sizeof(q->numbers[0]), "%" PRIu64, value);
	query_str(q, q->numbers[q->nparams]);
}

void
query_null(struct query *q)
{
	query_str(q, NULL);
}

static void
query_on_answer(void *arg, enum db_status status, PGresult *res)
{
	struct query_call *call = arg;

	if (call->orphan) {
		memory_free(call);
		return;
	}
	call->done = true;
	call->status = status;
	if (status == DB_OK) {
		if (call->take != NULL)
			call->take(call->arg, res);
		return;
	}
	call->error = res != NULL ? db_error_class(res) : DB_ERR_CONNECTION;
	if (res != NULL)
		db_error_message(res, call->message, sizeof(call->message));
	else
		strlcpy(call->message, "connection lost", sizeof(call->message));
}

static struct query_call *
query_submit(struct worker *w, const struct query *q, query_take *take, void *arg)
{
	struct query_call *call = memory_alloc(sizeof(*call));

	call->take = take;
	call->arg = arg;
	db_submit(w->db, q->stmt, q->params, DB_REPEAT, query_on_answer, call);
	return call;
}

static bool
query_is_done(void *arg, int64_t *wake)
{
	(void)wake;
	return ((const struct query_call *)arg)->done;
}

/* Worth sending again after a while? */
static bool
query_is_put_off(const struct query_call *call)
{
	return call->status != DB_OK && (call->error == DB_ERR_RETRY || call->error == DB_ERR_CONNECTION ||
	    call->error == DB_ERR_RESOURCES);
}

/* Takes the answer apart and frees it.  Returns 0, -1 with a failure, or 1: to be sent again. */
static int
query_end(struct query_call *call, const struct query *q, struct failure *f)
{
	int rc = 0;

	if (query_is_put_off(call)) {
		log_debug("database: %s: %s; sent again", q->stmt->name, call->message);
		rc = 1;
	} else if (call->status != DB_OK) {
		log_error("database: %s: %s", q->stmt->name, call->message);
		rc = failure_set(f, CLASS_TRANSIENT, "database: %s: %s", q->stmt->name, call->message);
	}
	memory_free(call);
	return rc;
}

int
query_wait(struct worker *w, const struct query *q, query_take *take, void *arg, struct failure *f)
{
	struct query_call *call;
	int rc;

	for (;;) {
		call = query_submit(w, q, take, arg);
		if (loop_wait(w, query_is_done, call, 0) == -1) {
			if (call->done)
				memory_free(call);
			else
				call->orphan = true;
			return -1;
		}
		if ((rc = query_end(call, q, f)) != 1)
			return rc;
		if (loop_wait(w, loop_never, NULL, clock_ms() + QUERY_AGAIN_MS) == -1)
			return -1;
	}
}

/* Looks up once in a while whether a stop has come meanwhile.  Returns 0 or 1. */
static int
query_persist(struct worker *w, loop_condition *done, void *arg, int64_t until)
{
	int64_t deadline, now;

	for (;;) {
		now = clock_ms();
		deadline = until;
		if (w->stop || w->eof)
			deadline = clock_earlier(deadline, w->deadline);
		if (deadline != 0 && now >= deadline)
			return 1;
		if (loop_insist(w, done, arg, clock_earlier(deadline, now + QUERY_LOOK_MS)) == 0)
			return 0;
	}
}

int
query_insist(struct worker *w, const struct query *q, query_take *take, void *arg, struct failure *f)
{
	struct query_call *call;
	int rc;

	for (;;) {
		call = query_submit(w, q, take, arg);
		if (query_persist(w, query_is_done, call, 0) == 1) {
			call->orphan = true;
			return 1;
		}
		if ((rc = query_end(call, q, f)) != 1)
			return rc;
		query_persist(w, loop_never, NULL, clock_ms() + QUERY_AGAIN_MS);
		if ((w->stop || w->eof) && clock_ms() >= w->deadline)
			return 1;
	}
}
