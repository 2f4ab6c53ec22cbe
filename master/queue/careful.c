#include "master/queue/careful.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/log.h"
#include "common/db/params.h"
#include "common/task.h"
#include "master/queue/claim_row.h"
#include "master/queue/claim_stmt.h"

static bool
has_state(const PGresult *res, const char *state)
{
	const char *is = PQresultErrorField(res, PG_DIAG_SQLSTATE);

	return is != NULL && strncmp(is, state, strlen(state)) == 0;
}

bool
careful_is_about_data(const PGresult *res)
{
	return db_error_class(res) == DB_ERR_DATA || has_state(res, "21") ||
	       has_state(res, "XX001") || has_state(res, "XX002");
}

bool
careful_is_clash(const PGresult *res)
{
	return has_state(res, "23505") || has_state(res, "40P01");
}

bool
careful_begin(struct queue *q, const PGresult *res)
{
	struct claim *c = &q->claim;
	char why[256];

	if (!careful_is_about_data(res) || c->asked.reading == CLAIM_READS_NUMBERS)
		return false;
	c->careful = c->asked.look;
	log_debug("claiming tasks: the database refuses: %s; tasks are claimed one by one",
	    db_error_message(res, why, sizeof(why)));
	return true;
}

bool
careful_read(struct queue *q, const PGresult *res, db_callback *cb)
{
	struct claim *c = &q->claim;
	struct params p = { .n = 0 };

	c->careful = PQntuples(res) == 0 ? 0 : c->careful - 1;
	if (PQntuples(res) == 0 || claim_row_is_behind(res, 0))
		return false;
	claim_read_name(res, &c->unread_task, &c->unread_claim);
	params_int(&p, c->unread_task);
	params_int(&p, c->unread_claim);
	db_submit(q->node->db, &claim_stmt_read, p.values, DB_ONCE, cb, q);
	return true;
}

void
careful_refuse(struct queue *q, const PGresult *res)
{
	struct claim *c = &q->claim;
	char why[256], error[TASK_ERROR_MAX];
	struct params p = { .n = 0 };

	db_error_message(res, why, sizeof(why));
	snprintf(error, sizeof(error),
	    "the row cannot be read: %s; insert another row with what is right", why);
	log_error("task %" PRId64 ": failed: %s", c->unread_task, error);
	params_int(&p, c->unread_task);
	params_int(&p, c->unread_claim);
	params_text(&p, error);
	db_submit(q->node->db, &claim_stmt_refuse, p.values, DB_REPEAT, NULL, NULL);
	c->careful = 0;
}
