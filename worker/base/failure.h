/*
 * Why a step failed.  The value travels from the step that failed up to where the task is settled.
 * A step that returns -1 with CLASS_NONE has not failed: it was interrupted (worker_interrupted()).
 */
#ifndef WORKER_BASE_FAILURE_H
#define WORKER_BASE_FAILURE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/text.h"
#include "common/config/config.h"
#include "common/task.h"

struct failure {
	enum error_class class;
	enum trouble trouble;
	bool certain; /* the trouble is whose trouble says, whatever other tasks meet */
	bool lapsed; /* cut off because the lease had lapsed: worker/session/lease.h */
	int64_t renew_ms; /* its keys may be renewed: asked again after so long; 0: they may not */
	char text[TASK_ERROR_MAX]; /* a sentence for the row and the log */

	/* what the store said, if there is one */
	char store[CONFIG_NAME_MAX];
	bool writes; /* the step writes to the store */
	int status; /* HTTP status, 0: none */
	int part; /* the number of the part that was asked for; 0: none */
	int64_t body; /* bytes of the object in the request */
	char code[64]; /* <Code> of the error document */
	int64_t retry_after; /* seconds, -1: not stated */
};

void failure_init(struct failure *f);

/*
 * Sets class and text.  The arguments may come from outside: bytes other than printable ASCII
 * become '?', so that the text fits any encoding.  The trouble is the object's, until one of the
 * next two functions says more.  Returns -1 for the step to return.
 */
int failure_set(struct failure *f, enum error_class class, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Sets the text alone, in which f->text may be an argument.  Returns -1. */
int failure_reword(struct failure *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * The store in f may be to blame, and is if others of its tasks fail, too; but not for what is not
 * tried again, or for a source that has changed.  Returns -1.
 */
int failure_suspect(struct failure *f);

/* Says that the failure is certainly the trouble of trouble.  Returns -1. */
int failure_blame(struct failure *f, enum trouble trouble);

/*
 * Sets the class by the errno of a file operation, and the text to "what: strerror".  Returns -1.
 */
int failure_errno(struct failure *f, const char *what);

/* 1 if the try counts.  0 if it failed for a lapsed lease, or for keys that may be renewed. */
int failure_counts(const struct failure *f);

/*
 * Returns when to try again (clock_ms()) after tries attempts that count, the last of which ended
 * with f: as the store asked, or after a short backoff with jitter.  0: not at all.
 */
int64_t failure_retry_at(const struct failure *f, int tries, int64_t now);

#endif
