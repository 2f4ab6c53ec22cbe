#include "worker/transfer/claim.h"

#include <string.h>

#include "worker/event/query.h"
#include "worker/transfer/checkpoint.h"
#include "worker/transfer/private.h"

static void
take_known(void *arg, const PGresult *res)
{
	*(bool *)arg = PQntuples(res) > 0;
}

/*
 * A row that still has the stand-in $3 of our claim gets the id $4.  If the task has ended in the
 * hands of another worker, that one has completed or aborted the upload, and its row is gone.
 */
static const struct db_stmt stmt_known = { "upload_known",
	"WITH u AS (UPDATE ferry.upload "
	"SET upload_id = $4, initiated = true "
	"WHERE task = $1 AND claim = $2 AND upload_id = $3 "
	"RETURNING task) "
	"SELECT task FROM u "
	"UNION ALL "
	"SELECT task FROM ferry.upload "
	"WHERE upload_id = $4 "
	"UNION ALL "
	"SELECT id FROM ferry.task "
	"WHERE id = $1 AND first_claim = $5 AND state IN ('done', 'failed', 'cancelled')",
	5 };

bool
claim_upload_is_unknown(struct transfer *t, const char *upload_id)
{
	char stand_in[CHECKPOINT_STAND_IN_SIZE];
	bool known = true;
	struct failure f;
	struct query q;

	query_task(&q, &stmt_known, t);
	query_str(&q, checkpoint_stand_in(t, stand_in));
	query_str(&q, upload_id);
	query_int(&q, t->task->first_claim);
	return query_insist(t->w, &q, take_known, &known, &f) == QUERY_DONE && !known;
}

static const struct db_stmt stmt_ask = { "task_owner",
	"SELECT state, claim = $2 "
	"FROM ferry.task "
	"WHERE id = $1",
	2 };

enum ask_column { ASK_STATE, ASK_SAME_CLAIM };

static void
take_claim(void *arg, const PGresult *res)
{
	enum claim *claim = arg;

	*claim = CLAIM_REVOKED;
	if (PQntuples(res) == 0 || !column_is_true(res, 0, ASK_SAME_CLAIM))
		return;
	if (strcmp(PQgetvalue(res, 0, ASK_STATE), "running") == 0)
		*claim = CLAIM_OURS;
	else if (strcmp(PQgetvalue(res, 0, ASK_STATE), "cancelled") == 0)
		*claim = CLAIM_CANCELLED;
}

enum claim
claim_ask(struct transfer *t)
{
	enum claim claim = CLAIM_UNKNOWN;
	struct failure f;
	struct query q;

	query_task(&q, &stmt_ask, t);
	if (query_insist(t->w, &q, take_claim, &claim, &f) != QUERY_DONE)
		return CLAIM_UNKNOWN;
	return claim;
}
