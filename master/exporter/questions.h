/*
 * The statements that the exporter sends, and the columns of their answers.
 */
#ifndef MASTER_EXPORTER_QUESTIONS_H
#define MASTER_EXPORTER_QUESTIONS_H

#include "common/db/db.h"

/*
 * Takes the lock of the one that speaks of the whole queue, if it is free.  Tells whether we have
 * it, and whether only roles have it that are no exporter's.
 */
extern const struct db_stmt question_lock;
enum { LOCK_TAKEN, LOCK_IS_FOREIGN };

extern const struct db_stmt question_live;
enum { LIVE_QUEUE, LIVE_QUEUED, LIVE_RUNNING, LIVE_OLDEST };

/*
 * Tasks that have ended since $1, in groups: of a queue, a state, and a bucket of
 * histogram_of_tasks for the wait and the duration.  Every row says up to when it counts.  NULL for
 * $1 counts none.
 *
 * A task gets the time at which its transaction began, and is seen when that commits.  So tasks are
 * counted up to where the oldest transaction began, and a transaction that takes longer than a
 * minute is not waited for.
 */
extern const struct db_stmt question_ended;
enum {
	ENDED_UNTIL,
	ENDED_QUEUE,
	ENDED_STATE,
	ENDED_WAIT_BUCKET,
	ENDED_DURATION_BUCKET,
	ENDED_TASKS,
	ENDED_WAIT_SUM,
	ENDED_DURATION_SUM,
};

extern const struct db_stmt question_database;
enum { DATABASE_CONNECTIONS, DATABASE_DEAD_ROWS, DATABASE_OLDEST, DATABASE_ABANDONED };

#endif
