/*
 * One log line being put together: inside the log only.
 */
#ifndef COMMON_BASE_LOG_LINE_H
#define COMMON_BASE_LOG_LINE_H

#include "common/base/log.h"

enum log_clock {
	LOG_CLOCK_OURS, /* the head begins with the time */
	LOG_CLOCK_JOURNAL, /* "<N>" with the priority: the journal knows the time, see sd-daemon(3)
			    */
};

struct log_head {
	enum log_clock clock;
	const char *ident; /* program, and "/slot" for a worker; NULL: the line has no head */
};

/* Begins a line with its head and message. */
void log_line_vbegin(struct log_line *line, int priority, const struct log_head *head,
    const char *fmt, va_list ap) __attribute__((format(printf, 4, 0)));

/* Ends the line with a newline.  Returns the line's length with the newline. */
size_t log_line_end(struct log_line *line);

#endif
