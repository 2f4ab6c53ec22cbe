#include "master/queue/putoff.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "common/db/params.h"
#include "master/limits/admit.h"
#include "master/node/sqlarray.h"

/* life of a row: running -> queued.  Other nodes may have the store that we do not have. */
static const struct db_stmt stmt_putoff = {
	.name = "put_off",
	.nparams = 4,
	.sql = "WITH given AS ("
	       "UPDATE ferry.task t "
	       "SET state = 'queued', node = NULL, worker = NULL, "
	       "run_at = CASE WHEN h.ms > 0 THEN now() + h.ms * interval '1 millisecond' "
	       "ELSE t.run_at END, "
	       "error = h.why, error_class = 'transient' "
	       "FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[]) "
	       "AS h(id, claim, ms, why) "
	       "WHERE t.id = h.id AND t.claim = h.claim AND t.state = 'running' "
	       "RETURNING h.ms) "
	       "SELECT pg_notify('ferry_task', '') FROM given "
	       "WHERE ms = 0 "
	       "LIMIT 1",
};

static void
begin(struct putoff *p)
{
	if (p->open)
		return;
	p->open = true;
	sqlarray_init(&p->ids);
	sqlarray_init(&p->claims);
	sqlarray_init(&p->delays);
	sqlarray_init(&p->reasons);
}

bool
putoff_take(struct queue *q, struct task *task)
{
	struct putoff *p = &q->putoff;
	struct admission answer;

	admit(q->limits, task, &answer);
	if (answer.verdict == ADMIT_GO)
		return false;
	begin(p);
	sqlarray_add_int(&p->ids, task->id);
	sqlarray_add_int(&p->claims, task->claim);
	sqlarray_add_int(&p->delays, answer.delay_ms);
	sqlarray_add_str(&p->reasons, answer.why);
	log_debug("task %" PRId64 ": not begun: %s", task->id, answer.why);
	free(task);
	return true;
}

void
putoff_run(struct queue *q)
{
	struct putoff *p = &q->putoff;
	struct params params = { .n = 0 };

	if (!p->open)
		return;
	params_text(&params, sqlarray_finish(&p->ids));
	params_text(&params, sqlarray_finish(&p->claims));
	params_text(&params, sqlarray_finish(&p->delays));
	params_text(&params, sqlarray_finish(&p->reasons));
	db_submit(q->node->db, &stmt_putoff, params.values, DB_REPEAT, NULL, NULL);
	sqlarray_release(&p->reasons);
	sqlarray_release(&p->delays);
	sqlarray_release(&p->claims);
	sqlarray_release(&p->ids);
	p->open = false;
}
