/*
 * A row of the claim statement as a struct task.
 */
#ifndef MASTER_CLAIM_ROW_H
#define MASTER_CLAIM_ROW_H

#include <libpq-fe.h>

#include "common/task.h"
#include "master/ferryd.h"

/* The claim statement's columns, in its order. */
enum claim_column {
	CLAIM_SLOT,
	CLAIM_ID,
	CLAIM_CLAIM,
	CLAIM_ATTEMPT,
	CLAIM_CRASHES,
	CLAIM_OOMS,
	CLAIM_MAX_ATTEMPTS,
	CLAIM_IF_EXISTS,
	CLAIM_EXPECT_SIZE,
	CLAIM_EXPECT_CRC64,
	CLAIM_SOURCE,
	CLAIM_DESTINATION,
	CLAIM_CONTENT_TYPE,
	CLAIM_STORAGE_CLASS,
	CLAIM_METADATA,
	CLAIM_QUEUE,
	CLAIM_RANK, /* with the next, its place in the order of claims */
	CLAIM_RUN_AT,
	CLAIM_COLUMNS,
};

/* Returns the number of the slot that it was claimed for, 0 if for none. */
int claim_read_task(const PGresult *res, int row, struct task *task);

/* The place of the row that comes last in the order of claims; leaves place alone if there is none. */
void claim_read_place(const PGresult *res, struct place *place);

#endif
