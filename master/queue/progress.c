#include "master/queue/progress.h"

#include "common/base/clock.h"
#include "common/db/params.h"
#include "master/node/sqlarray.h"
#include "master/pool/pool.h"

#define WRITE_EVERY_MS 2000

/*
 * A row that is locked is being settled, or its worker records a part: it is skipped, and the next
 * report counts.
 */
static const struct db_stmt stmt_progress = {
	.name = "write_progress",
	.nparams = 4,
	.sql = "WITH h AS MATERIALIZED ("
	       "SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) "
	       "AS h(id, claim, done, total)), "
	       "ours AS MATERIALIZED ("
	       "SELECT t.id, t.claim, h.done, h.total "
	       "FROM h JOIN ferry.task t ON t.id = h.id "
	       "WHERE t.claim = h.claim AND t.state = 'running' "
	       "FOR NO KEY UPDATE OF t SKIP LOCKED) "
	       "UPDATE ferry.task t "
	       "SET bytes_done = o.done, "
	       "bytes_total = coalesce(nullif(o.total, -1), t.bytes_total) "
	       "FROM ours o "
	       "WHERE t.id = o.id AND t.claim = o.claim AND t.state = 'running'",
};

struct columns {
	struct sqlarray ids;
	struct sqlarray claims;
	struct sqlarray done;
	struct sqlarray totals;
};

static void
written(void *arg, enum db_status status, PGresult *res)
{
	struct queue *q = arg;

	q->progress.writing = false;
	refusals_note(&q->node->refusals, WORK_PROGRESS, status, res);
}

static void
collect(struct queue *q, struct columns *c)
{
	struct slot *slot;

	POOL_FOREACH (slot, q->pool) {
		if (!slot->progressed)
			continue;
		sqlarray_add_int(&c->ids, slot->task->id);
		sqlarray_add_int(&c->claims, slot->task->claim);
		sqlarray_add_int(&c->done, slot->bytes_done);
		sqlarray_add_int(&c->totals, slot->bytes_total);
		slot_progress_taken(slot);
	}
}

static void
submit(struct queue *q, struct columns *c)
{
	struct params p = { .n = 0 };

	params_text(&p, sqlarray_finish(&c->ids));
	params_text(&p, sqlarray_finish(&c->claims));
	params_text(&p, sqlarray_finish(&c->done));
	params_text(&p, sqlarray_finish(&c->totals));
	q->progress.writing = true;
	db_submit(q->node->db, &stmt_progress, p.values, DB_ONCE, written, q);
}

static void
write_all(struct queue *q)
{
	struct columns c;

	sqlarray_init(&c.ids);
	sqlarray_init(&c.claims);
	sqlarray_init(&c.done);
	sqlarray_init(&c.totals);
	collect(q, &c);
	if (c.ids.n > 0)
		submit(q, &c);
	sqlarray_release(&c.totals);
	sqlarray_release(&c.done);
	sqlarray_release(&c.claims);
	sqlarray_release(&c.ids);
}

void
progress_note(struct queue *q, struct slot *slot, const struct msg_progress *progress)
{
	slot_note_progress(slot, progress->bytes_done, progress->bytes_total);
	if (slot->progressed && q->progress.at == 0)
		q->progress.at = q->progress.last_at + WRITE_EVERY_MS;
}

int64_t
progress_deadline(const struct queue *q)
{
	return link_is_ready(q->node) && !q->progress.writing ? q->progress.at : 0;
}

void
progress_run(struct queue *q)
{
	int64_t now = clock_ms(), at = progress_deadline(q);

	if (at == 0 || at > now)
		return;
	q->progress.last_at = now;
	q->progress.at = 0;
	write_all(q);
}
