/*
 * Why a step failed: its class, a sentence for the row and the log, and what the store said about waiting.  It travels
 * up from where the failure was seen to where the task is settled.  CLASS_NONE together with -1 means that the step was
 * interrupted (worker_interrupted()), not that it failed.
 */
#ifndef WORKER_FAILURE_H
#define WORKER_FAILURE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"
#include "common/task.h"

struct failure {
	enum error_class class;
	int status;			/* HTTP status, 0 if none */
	int64_t retry_after;		/* seconds, -1: not said */
	bool lapsed;			/* broken off by us: lease.h */
	char code[64];			/* <Code> of the store's error document */
	char store[CONFIG_NAME_MAX];	/* who it was; "" if none */
	char text[TASK_ERROR_MAX];
};

void failure_init(struct failure *f);

/*
 * Fills in class and sentence.  Whatever comes from outside may be in the arguments: bytes that are not printable ASCII
 * become '?', so that the sentence fits any encoding.  Returns -1, so that a step can return it.
 */
int failure_set(struct failure *f, enum error_class class, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The class of an errno of a file operation, with "what: strerror".  A full disk has to be spared, as a busy store has.  Returns -1. */
int failure_errno(struct failure *f, const char *what);

/* When to try again after f, for the tries-th time: what the store said, or a short backoff with jitter. 0: not at all. */
int64_t failure_retry_at(const struct failure *f, int tries, int64_t now);

/* True if s is printable ASCII: what may go into a row as a server gave it. */
bool text_is_plain(const char *s);

#endif
