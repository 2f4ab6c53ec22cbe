/*
 * One log line being put together: inside the log only.
 */
#ifndef COMMON_LOG_LINE_H
#define COMMON_LOG_LINE_H

#include "common/log.h"

/* What the line needs to know of its target: program and slot, whether anybody wants it, whether it
 * has a head. */
const char *log_ident(void);
bool log_wants(int priority);
bool log_wants_head(void);

void log_line_vbegin(struct log_line *line, int priority, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));

/* Ends the line with its newline.  Returns its length with it. */
size_t log_line_end(struct log_line *line);

#endif
