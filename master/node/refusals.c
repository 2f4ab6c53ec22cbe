#include "master/node/refusals.h"

static const char *const names[WORKS] = {
	[WORK_REGISTER] = "registering this node",
	[WORK_RENEW] = "renewing the lease",
	[WORK_RECONCILE] = "looking for lost tasks",
	[WORK_RESCUE] = "looking after other nodes",
	[WORK_QUOTAS] = "asking for limits",
	[WORK_CLAIM] = "claiming tasks",
	[WORK_DUE] = "asking when the next task is due",
	[WORK_REVOKED] = "looking for cancelled tasks",
	[WORK_PROGRESS] = "recording the progress of tasks",
	[WORK_FREE] = "looking for tasks that may follow an earlier one",
	[WORK_LET_GO] = "letting go of cancelled tasks",
	[WORK_DONE] = "recording ends of tasks",
	[WORK_PRUNE] = "deleting old tasks",
	[WORK_BLOCKER] = "looking for the oldest transaction",
	[WORK_WAITS] = "asking why tasks wait",
};

void
refusals_add(struct refused *r, enum work work, const PGresult *res)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	char why[256];

	refused_add(r, names[work], state != NULL ? state : "",
	    db_error_message(res, why, sizeof(why)), "will try again");
}

void
refusals_relieve(struct refused *r, enum work work)
{
	refused_relieve(r, names[work]);
}

void
refusals_note(struct refused *r, enum work work, enum db_status status, const PGresult *res)
{
	if (status == DB_ERROR)
		refusals_add(r, work, res);
	else if (status == DB_OK)
		refusals_relieve(r, work);
}
