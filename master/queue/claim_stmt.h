/*
 * The statements that claim tasks.  Life of a row: queued -> running.
 *
 * A task that has a forerunner (ferry.forerunners() in the schema) is not claimed.  It is marked
 * behind, and is a row of the answer too.
 *
 * The parameters of both kinds: $1 node, $2 slot numbers (tasks beyond them are for no slot yet),
 * $3 queues, $4 how many tasks, $5 the number behind which the claims are numbered.
 */
#ifndef MASTER_QUEUE_CLAIM_STMT_H
#define MASTER_QUEUE_CLAIM_STMT_H

#include "common/db/db.h"

/* How a claim reads the rows that it claims. */
enum claim_reading {
	CLAIM_READS_ALL,
	CLAIM_READS_NUMBERS, /* texts are NULL: a text that cannot be read does no harm */
	CLAIM_READINGS,
};

/*
 * In the order of all tasks.  $6 to $8 the place behind which to begin, $9 at how many tasks to
 * look.
 */
extern const struct db_stmt *const claim_stmt_in_order[CLAIM_READINGS];

/*
 * Lane by lane: a lane is a queue, a pair of stores and a priority.  So where something is limited
 * or queues have weights; where $6, stores that have asked to slow down, are to be left alone;
 * where the claim looks for starving tasks ($8); and where a claim in the order of all tasks would
 * walk for long over tasks of a queue that is paused or not ours.  $7 starts of the queues, $9
 * whether to look from the start, $10 what this node holds.
 */
extern const struct db_stmt *const claim_stmt_by_lanes[CLAIM_READINGS];

/* Marks at most so many tasks in one claim by lanes: the number is in ferry.claim(). */
#define CLAIM_MARKS_MAX 512

/* Reads the task $1 that was claimed as $2. */
extern const struct db_stmt claim_stmt_read;

/* The task $1, claimed as $2, cannot be read for the reason $3. */
extern const struct db_stmt claim_stmt_refuse;

#endif
