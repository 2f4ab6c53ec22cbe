/*
 * A task as the master claims it and a worker carries it, and the ways in which it can end.
 */
#ifndef COMMON_TASK_H
#define COMMON_TASK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/log.h"
#include "common/base/uri.h"

/* Bytes, with the NUL. */
#define TASK_ERROR_MAX 512 /* of the columns error and warning */
#define TASK_ETAG_MAX 256 /* of the column etag */

enum if_exists { IF_EXISTS_OVERWRITE, IF_EXISTS_SKIP, IF_EXISTS_FAIL };

/*
 * How a task, or one of its requests, failed.  task_class_retries() decides which classes are tried
 * again, and enum trouble whether the attempt counts.
 */
enum error_class {
	CLASS_NONE,
	CLASS_TRANSIENT, /* network, 5xx, time-out: tried again with backoff */
	CLASS_THROTTLED, /* the store said slow down: likewise, and slower for that store */
	CLASS_FULL, /* the store has no room: its disk is full, or a quota is used up */
	CLASS_SOURCE_CHANGED, /* the source is another object now: starts over */
	CLASS_CREDENTIALS, /* the store refused our keys: tried again */
	CLASS_PERMANENT, /* would fail again: fails at once */
	CLASS_CRASH, /* the worker died: settled by the master */
	CLASS_MEMORY, /* the worker was killed for memory: settled by the master */
};

/*
 * Whose trouble a failure is.  The table in ferry(7) says which failure is whose, and what follows.
 * Of an object's trouble each attempt counts.  All other trouble may pass without the object: the
 * task goes back to the queue, and no attempt is counted.
 */
enum trouble {
	TROUBLE_OBJECT, /* the object's or the row's: this task asks for something that does not
			   exist or is refused */
	TROUBLE_STORE, /* the store's: other tasks that use it would fail, too */
	TROUBLE_WORKER, /* the process died */
	TROUBLE_NODE, /* this node's: its configuration, or what its machine lacks */
	TROUBLE_DATABASE,
};

/* What the master has seen of a store since it failed last, at one end. */
enum store_seen {
	SEEN_NOTHING, /* of a store that fails more tasks than one, or is new */
	SEEN_ONE_FAIL, /* it has failed one task alone, this one */
	SEEN_SERVING, /* it has served another task */
};

/* The two ends of a task.  A store can fail to be written while it can be read. */
enum task_end { END_SOURCE, END_DESTINATION, TASK_ENDS };

/* How a worker's work on a task ended. */
enum task_result {
	/* Carried and verified.  The master settles the row, after this and TASK_SKIPPED only. */
	TASK_DONE,
	TASK_SKIPPED, /* the destination exists, and if_exists is skip: done, nothing carried */
	TASK_RETRY, /* failed, queued again with backoff */
	TASK_POSTPONED, /* failed for a trouble that may pass: queued again, no attempt counted */
	TASK_FAILED, /* failed for good */
	TASK_CANCELLED,
	TASK_RELEASED, /* given back unfinished for a stop; no attempt is counted */
	TASK_STALE, /* the claim is revoked: dropped, the row is not touched */
	TASK_UNSETTLED, /* given up for want of a database connection: the master settles the row */
};

struct task {
	int64_t id;
	int64_t claim; /* fencing token: no other claim of any task has the same */
	int64_t first_claim; /* tells the task from others that had its id */

	/* What has failed so far. */
	int attempt; /* transfers */
	int crashes; /* workers that died */
	int ooms; /* workers killed for memory */
	int max_attempts;
	bool frugal; /* use one stream, since a worker was killed for memory */

	/* What the producer asks for. */
	enum if_exists if_exists;
	bool has_expect_size;
	bool has_expect_crc64;
	int64_t expect_size;
	uint64_t expect_crc64;

	/* Texts.  task_copy() copies no more than their lengths. */
	char source[URI_MAX];
	char destination[URI_MAX];
	char content_type[256];
	char storage_class[64];
	char queue[64];
	char metadata[8192]; /* "name\x1fvalue\x1e" for each pair; SQL refuses control characters */
};

/* Whether the task was claimed before: it may have left an upload, or an object. */
static inline bool
task_is_again(const struct task *task)
{
	return task->claim != task->first_claim;
}

/*
 * Copies a task, and of each text no more than its length.  The bytes behind the texts of to stay
 * zeros: to must be all zeros, or written by this function before.
 */
void task_copy(struct task *to, const struct task *from);

/*
 * An event about a task: "task N", then the text, which begins with a blank or a colon, and the
 * fields task, source and destination, redacted.  task_log_begin() lets fields follow until
 * log_end().
 */
void task_log_begin(struct log_line *line, int priority, const struct task *task, const char *fmt,
    ...) __attribute__((format(printf, 4, 5)));
void task_log(const struct task *task, int priority, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The name in the column error_class and in the log. */
const char *error_class_name(enum error_class error);
const char *task_result_name(enum task_result result);
const char *trouble_name(enum trouble trouble);

/* Whether a task that failed so is tried again, within its limits. */
bool task_class_retries(enum error_class error);

#endif
