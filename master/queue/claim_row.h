/*
 * A row of the claim statement as a struct task.
 */
#ifndef MASTER_QUEUE_CLAIM_ROW_H
#define MASTER_QUEUE_CLAIM_ROW_H

#include <libpq-fe.h>

#include <stdbool.h>

#include "common/task.h"
#include "master/queue/queue.h"

/* The columns of the claim statements. */
enum claim_column {
	CLAIM_BEHIND, /* the task is not claimed, but marked */
	CLAIM_SLOT,
	CLAIM_ID,
	CLAIM_CLAIM,
	CLAIM_FIRST_CLAIM,
	CLAIM_ATTEMPT,
	CLAIM_CRASHES,
	CLAIM_OOMS,
	CLAIM_MAX_ATTEMPTS,
	CLAIM_RANK, /* CLAIM_RANK, CLAIM_RUN_AT and CLAIM_ID are its place in the order of claims */
	CLAIM_RUN_AT,
	CLAIM_EXPECT_SIZE,
	CLAIM_EXPECT_CRC64,

	/* What a claim that reads numbers leaves out. */
	CLAIM_IF_EXISTS,
	CLAIM_SOURCE,
	CLAIM_DESTINATION,
	CLAIM_CONTENT_TYPE,
	CLAIM_STORAGE_CLASS,
	CLAIM_METADATA,
	CLAIM_QUEUE,
};

/* Returns the number of the slot that the task was claimed for; 0: for none. */
int claim_read_task(const PGresult *res, int row, struct task *task);

/* Whether the row is of a task that is not claimed, since it waits for another. */
bool claim_row_is_behind(const PGresult *res, int row);

/* The id and the claim of a row. */
void claim_read_name(const PGresult *res, int64_t *task, int64_t *claim);

/* Reads the place of the last row.  Leaves place alone if there are no rows. */
void claim_read_place(const PGresult *res, struct place *place);

#endif
