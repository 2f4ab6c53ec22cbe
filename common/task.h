/*
 * A task as the master claims it and a worker carries it, and how one can end.
 */
#ifndef COMMON_TASK_H
#define COMMON_TASK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/uri.h"

#define TASK_ERROR_MAX 512 /* bytes of the sentence in the column error */
#define TASK_ETAG_MAX 256  /* of the column etag */

enum if_exists { IF_EXISTS_OVERWRITE, IF_EXISTS_SKIP, IF_EXISTS_FAIL };

/*
 * How a task, or one request of it, ended.  The names are those of the column error_class.  What follows from
 * each is decided in one place, task_class_retries().
 */
enum error_class {
	CLASS_NONE,	      /* no error */
	CLASS_TRANSIENT,      /* network, 5xx, time-outs: backs off and tries again */
	CLASS_THROTTLED,      /* the store said slow down: the same, and slower for that store */
	CLASS_SOURCE_CHANGED, /* the pinned source is another object now: starts over */
	CLASS_CREDENTIALS,    /* the store refused our keys: fails at once */
	CLASS_PERMANENT,      /* would fail the same way again: fails at once */
	CLASS_CRASH,	      /* the worker died: settled by the master */
	CLASS_MEMORY,	      /* the worker was killed for memory: settled by the master */
};

/* What a worker tells the master about a task that it carries no longer. */
enum task_result {
	TASK_DONE,	/* carried and verified: the master settles the row, of this and the next only */
	TASK_SKIPPED,	/* done, nothing carried: if_exists = skip */
	TASK_RETRY,	/* failed, queued again with backoff */
	TASK_FAILED,	/* failed for good */
	TASK_CANCELLED,
	TASK_RELEASED,	/* handed back unfinished (stop, drain), nothing counted against it */
	TASK_STALE,	/* somebody else has the claim: dropped, nothing touched */
};

struct task {
	int64_t id;
	int64_t claim; /* fencing token */
	int attempt;   /* failed transfers so far; crashes and ooms likewise */
	int crashes;
	int ooms;
	int max_attempts;
	enum if_exists if_exists;
	bool frugal; /* one stream: an earlier worker was killed for memory on it */
	bool has_expect_size;
	bool has_expect_crc64;
	int64_t expect_size;
	uint64_t expect_crc64;
	char source[URI_MAX];
	char destination[URI_MAX];
	char content_type[256];
	char storage_class[64];
	char queue[64];
	char metadata[4096]; /* "name\x1fvalue\x1e" for each pair; both parts checked for control characters in SQL */
};

/*
 * Copies a task; of its texts, which have room for much more than most need, no more than there is.  What lies behind a text in to
 * has to be zeros and stays so: to is all zeros, or was written by this before.
 */
void task_copy(struct task *to, const struct task *from);

const char *error_class_name(enum error_class class);
const char *task_result_name(enum task_result result);

/* True if a task that failed so is tried again (within its limits). */
bool task_class_retries(enum error_class class);

#endif
