#include "common/task.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	bool retries;
} classes[] = {
	[CLASS_NONE] = { "none", false },
	[CLASS_TRANSIENT] = { "transient", true },
	[CLASS_THROTTLED] = { "throttled", true },
	[CLASS_FULL] = { "full", true },
	[CLASS_SOURCE_CHANGED] = { "source_changed", true },
	[CLASS_CREDENTIALS] = { "credentials", true },
	[CLASS_PERMANENT] = { "permanent", false },
	[CLASS_CRASH] = { "crash", true },
	[CLASS_MEMORY] = { "out_of_memory", true },
};

static const char *const results[] = {
	[TASK_DONE] = "done",
	[TASK_SKIPPED] = "skipped",
	[TASK_RETRY] = "retry",
	[TASK_POSTPONED] = "postponed",
	[TASK_FAILED] = "failed",
	[TASK_CANCELLED] = "cancelled",
	[TASK_RELEASED] = "released",
	[TASK_STALE] = "stale",
	[TASK_UNSETTLED] = "unsettled",
};

static const char *const troubles[] = {
	[TROUBLE_OBJECT] = "object",
	[TROUBLE_STORE] = "store",
	[TROUBLE_WORKER] = "worker",
	[TROUBLE_NODE] = "node",
	[TROUBLE_DATABASE] = "database",
};

#define NELEM(a) (sizeof(a) / sizeof((a)[0]))

/* Overwrites the text in to, and leaves zeros behind it. */
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

static void __attribute__((format(printf, 4, 0)))
begin(struct log_line *line, int priority, const struct task *task, const char *fmt, va_list ap)
{
	char text[LOG_LINE_MAX / 2], source[URI_SHOWN], destination[URI_SHOWN];

	vsnprintf(text, sizeof(text), fmt, ap);
	log_begin(line, priority, "task %" PRId64 "%s", task->id, text);
	log_int(line, "task", task->id);
	log_str(line, "source", uri_redact(source, sizeof(source), task->source));
	log_str(
	    line, "destination", uri_redact(destination, sizeof(destination), task->destination));
}

void
task_log_begin(struct log_line *line, int priority, const struct task *task, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	begin(line, priority, task, fmt, ap);
	va_end(ap);
}

void
task_log(const struct task *task, int priority, const char *fmt, ...)
{
	struct log_line line;
	va_list ap;

	va_start(ap, fmt);
	begin(&line, priority, task, fmt, ap);
	va_end(ap);
	log_end(&line);
}

/* These take numbers that came through a channel, too, so they check before they index. */

const char *
error_class_name(enum error_class error)
{
	return (size_t)error < NELEM(classes) ? classes[error].name : "unknown";
}

const char *
task_result_name(enum task_result result)
{
	return (size_t)result < NELEM(results) ? results[result] : "unknown";
}

const char *
trouble_name(enum trouble trouble)
{
	return (size_t)trouble < NELEM(troubles) ? troubles[trouble] : "unknown";
}

bool
task_class_retries(enum error_class error)
{
	return (size_t)error < NELEM(classes) && classes[error].retries;
}
