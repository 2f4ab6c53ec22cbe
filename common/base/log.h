/*
 * The log: one line an event, one write() a line, so that the lines of processes that share a file
 * never mix.  A line is a fixed head and logfmt fields:
 *
 *   2026-11-23T22:30:05.123Z info ferry-worker/3[4711] msg="task 42 done" task=42 bytes=1073741824
 *
 * The head is the time (RFC 3339), level, program, "/slot" for a worker, and pid.  A value with
 * spaces or special characters is quoted.  Quotes, backslashes and control characters are escaped
 * (\n, \x1b), and bytes that are not UTF-8 are written as \xNN, so that no object key can forge a
 * line.  A line longer than LOG_LINE_MAX is cut, never split.
 *
 * The log does not recognise secrets: callers pass URIs through uri_redact() first.
 *
 * If standard error is the journal of systemd, "<N>" with the priority takes the place of the time.
 *
 * Targets are a file (opened O_APPEND|O_CREAT 0640), "stderr", "syslog", or a descriptor from the
 * master.  An event that cannot be written goes to stderr and is counted.  The next line that can
 * be written says how many were lost.  A worker leaves that to the master, since it may end first.
 */
#ifndef COMMON_BASE_LOG_H
#define COMMON_BASE_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <syslog.h>

#define LOG_LINE_MAX 8192

struct log_line {
	int priority;
	size_t len;
	char text[LOG_LINE_MAX];
};

/* Names the program in the head of lines; slot < 0: without a slot.  Lines go to stderr until a
 * target is opened. */
void log_init(const char *program, int slot);

/*
 * Opens "stderr", "syslog" or an absolute path.  Returns 0, or -1 with errno and the old target
 * kept.
 */
int log_open(const char *target);

/* Takes ownership of fd, which the master opened.  -1 means stderr, LOG_FD_SYSLOG means syslog. */
#define LOG_FD_SYSLOG (-2)
void log_open_fd(int fd);

/* Reopens a file by its path.  Returns 0, or -1 with errno and the old file kept. */
int log_reopen(void);

/* The descriptor of the target, for a child process: a file's, 2 for stderr, or LOG_FD_SYSLOG. */
int log_fd(void);

/* Drops events above this syslog priority: LOG_INFO by default, LOG_DEBUG to see all. */
void log_set_max_priority(int priority);

/* Returns how many lines were lost, with the errno of the last one, and forgets them. */
uint64_t log_take_lost(int *error);

/* Lines were lost, here or in another process: the next line says so. */
void log_add_lost(uint64_t lines, int error);

/* Logs an event without fields. */
void log_event(int priority, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#define log_debug(...) log_event(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_event(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_event(LOG_WARNING, __VA_ARGS__)
#define log_error(...) log_event(LOG_ERR, __VA_ARGS__)

/* An event with fields: log_begin(), any number of fields, log_end(). */
void log_begin(struct log_line *line, int priority, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Adds a field; NULL leaves the field out. */
void log_str(struct log_line *line, const char *name, const char *value);

void log_int(struct log_line *line, const char *name, int64_t value);
void log_uint(struct log_line *line, const char *name, uint64_t value);
void log_end(struct log_line *line);

/* Logs at LOG_CRIT and exits with a code of sysexits.h.  Only for failures at start-up and for
 * broken invariants. */
void fatal(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3), noreturn));

#endif
