/*
 * The works of the master whose statements the database may refuse: see common/db/refused.h.
 */
#ifndef MASTER_NODE_REFUSALS_H
#define MASTER_NODE_REFUSALS_H

#include <libpq-fe.h>
#include <stdint.h>

#include "common/db/db.h"
#include "common/db/refused.h"

enum work {
	WORK_REGISTER,
	WORK_RENEW,
	WORK_RECONCILE,
	WORK_RESCUE,
	WORK_QUOTAS,
	WORK_CLAIM,
	WORK_DUE,
	WORK_REVOKED,
	WORK_PROGRESS,
	WORK_FREE,
	WORK_LET_GO,
	WORK_DONE,
	WORK_PRUNE,
	WORK_BLOCKER,
	WORK_WAITS,
	WORKS
};

/* The database has refused a statement of this work, or has carried one out. */
void refusals_add(struct refused *r, enum work work, const PGresult *res);
void refusals_relieve(struct refused *r, enum work work);

/* Notes how a statement of this work has ended; DB_LOST says nothing. */
void refusals_note(struct refused *r, enum work work, enum db_status status, const PGresult *res);

#endif
