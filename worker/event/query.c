#include "worker/event/query.h"

#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "worker/base/memory.h"
#include "worker/event/loop.h"
#include "worker/session/connection.h"

#define AGAIN_MS 500 /* between two attempts of a statement that the server put off */
#define LOOK_MS 1000 /* how often a wait that a stop must end looks for a stop */

#define ALL_STATEMENTS "statements" /* in the log, of what all have in common */

/* A statement under way.  On the heap, since the caller may give up before the answer comes. */
struct query_call {
	const struct worker *w;
	bool done;
	bool orphan; /* the caller has given up: the callback frees the call */
	enum db_status status;
	enum db_error error;
	query_take *take;
	void *arg;
	char state[6]; /* SQLSTATE */
	char message[384];
};

void
query_init(struct query *q, const struct db_stmt *stmt)
{
	memset(q, 0, sizeof(*q));
	q->stmt = stmt;
}

static void
on_answer(void *arg, enum db_status status, PGresult *res)
{
	struct query_call *call = arg;
	const char *state;

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
	db_error_origin(res, call->message, sizeof(call->message));
	state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	strlcpy(call->state, state != NULL ? state : "", sizeof(call->state));
}

static struct query_call *
submit(struct worker *w, const struct query *q, query_take *take, void *arg)
{
	struct query_call *call = memory_alloc(sizeof(*call));

	call->w = w;
	call->take = take;
	call->arg = arg;
	db_submit(w->db, q->stmt, q->params.values, DB_REPEAT, on_answer, call);
	return call;
}

/* It is answered, or no answer is to be had. */
static bool
is_over(void *arg, int64_t *wake)
{
	const struct query_call *call = arg;

	(void)wake;
	return call->done || connection_is_denied(call->w);
}

/* True if the same statement may succeed a little later. */
static bool
is_put_off(const struct query_call *call)
{
	return call->status != DB_OK &&
	       (call->error == DB_ERR_RETRY || call->error == DB_ERR_CONNECTION ||
		   call->error == DB_ERR_RESOURCES);
}

/*
 * What the server lacks, such as room on its disk, it lacks for every statement.  The handle itself
 * logs lost connections.
 */
static void
note_refusal(struct worker *w, const struct query_call *call, const char *work)
{
	if (call->error != DB_ERR_CONNECTION)
		refused_add(&w->refusals, call->error == DB_ERR_RESOURCES ? ALL_STATEMENTS : work,
		    call->state, call->message, "will try again");
}

/* What an answer came to. */
enum answer {
	ANSWER_FAILED,
	ANSWER_DONE,
	ANSWER_AGAIN, /* the statement must be sent again after a while */
};

/* Frees the call. */
static enum answer
read_answer(struct worker *w, struct query_call *call, const struct query *q, struct failure *f)
{
	enum answer answer = ANSWER_DONE;
	char work[64];

	snprintf(work, sizeof(work), "statement %s", q->stmt->name);
	if (is_put_off(call)) {
		note_refusal(w, call, work);
		answer = ANSWER_AGAIN;
	} else if (call->status != DB_OK) {
		log_error("database: %s: %s", q->stmt->name, call->message);
		failure_set(f, CLASS_TRANSIENT, "database: %s: %s", q->stmt->name, call->message);
		f->trouble = TROUBLE_DATABASE;
		f->certain = call->error != DB_ERR_DATA; /* the row may be the reason */
		answer = ANSWER_FAILED;
	} else {
		refused_relieve(&w->refusals, work);
		refused_relieve(&w->refusals, ALL_STATEMENTS);
	}
	memory_free(call);
	return answer;
}

int
query_wait(struct worker *w, const struct query *q, query_take *take, void *arg, struct failure *f)
{
	struct query_call *call;
	enum answer answer;

	for (;;) {
		call = submit(w, q, take, arg);
		if (loop_wait(w, is_over, call, 0) == LOOP_INTERRUPTED) {
			if (call->done)
				memory_free(call);
			else
				call->orphan = true;
			return -1;
		}
		if (!call->done) {
			call->orphan = true;
			return connection_failure(w, f);
		}
		if ((answer = read_answer(w, call, q, f)) != ANSWER_AGAIN)
			return answer == ANSWER_DONE ? 0 : -1;
		if (loop_wait(w, loop_never, NULL, clock_ms() + AGAIN_MS) == LOOP_INTERRUPTED)
			return -1;
	}
}

/* Waits until done(arg) holds, or until the deadline of a stop that comes meanwhile. */
static enum loop_end
persist(struct worker *w, loop_condition *done, void *arg, int64_t until)
{
	int64_t deadline, now;

	for (;;) {
		now = clock_ms();
		deadline = until;
		if (w->stop || w->eof)
			deadline = clock_earlier(deadline, w->deadline);
		if (deadline != 0 && now >= deadline)
			return LOOP_DEADLINE;
		if (loop_insist(w, done, arg, clock_earlier(deadline, now + LOOK_MS)) == LOOP_DONE)
			return LOOP_DONE;
	}
}

enum query_end
query_insist(
    struct worker *w, const struct query *q, query_take *take, void *arg, struct failure *f)
{
	struct query_call *call;
	enum answer answer;

	for (;;) {
		call = submit(w, q, take, arg);
		if (persist(w, is_over, call, 0) == LOOP_DEADLINE || !call->done) {
			call->orphan = true;
			return QUERY_LATE;
		}
		if ((answer = read_answer(w, call, q, f)) != ANSWER_AGAIN)
			return answer == ANSWER_DONE ? QUERY_DONE : QUERY_FAILED;
		persist(w, loop_never, NULL, clock_ms() + AGAIN_MS);
		if ((w->stop || w->eof) && clock_ms() >= w->deadline)
			return QUERY_LATE;
	}
}
