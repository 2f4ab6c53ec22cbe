/*
 * The names of how tasks end, as they stand in the table and in the log, and which of them are
 * tried again.
 */
#include "common/task.h"

#include <stddef.h>
#include <string.h>

static const struct {
	const char *name;
	bool retries;
} classes[] = {
    [CLASS_NONE] = {"none", false},
    [CLASS_TRANSIENT] = {"transient", true},
    [CLASS_THROTTLED] = {"throttled", true},
    [CLASS_SOURCE_CHANGED] = {"source_changed", true},
    [CLASS_CREDENTIALS] = {"credentials", false},
    [CLASS_PERMANENT] = {"permanent", false},
    [CLASS_CRASH] = {"crash", true},
    [CLASS_MEMORY] = {"out_of_memory", true},
};

static const char *const results[] = {
    [TASK_DONE] = "done",
    [TASK_SKIPPED] = "skipped",
    [TASK_RETRY] = "retry",
    [TASK_FAILED] = "failed",
    [TASK_CANCELLED] = "cancelled",
    [TASK_RELEASED] = "released",
    [TASK_STALE] = "stale",
};

#define NELEM(a) (sizeof(a) / sizeof((a)[0]))

static void
copy_text(char *to, const char *from)
{
	size_t old = strlen(to), len = strlen(from);

	memcpy(to, from, len + 1);
	if (old > len)
		memset(to + len, 0, old - len);
}

void
task_copy(struct task *to, const struct task *from)
{
	memcpy(to, from, offsetof(struct task, source));
	copy_text(to->source, from->source);
	copy_text(to->destination, from->destination);
	copy_text(to->content_type, from->content_type);
	copy_text(to->storage_class, from->storage_class);
	copy_text(to->queue, from->queue);
	copy_text(to->metadata, from->metadata);
}

/* Numbers come from the other side of a channel too, so they are looked at before they index. */

const char *error_class_name(enum error_class class)
{
	return (size_t) class < NELEM(classes) ? classes[class].name : "unknown";
}

const char *
task_result_name(enum task_result result)
{
	return (size_t)result < NELEM(results) ? results[result] : "unknown";
}

bool task_class_retries(enum error_class class)
{
	return (size_t) class < NELEM(classes) && classes[class].retries;
}
