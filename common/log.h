/*
 * The log: one line an event, one write() a line, so that lines of several processes that share a file
 * never mix.  A line is a fixed head and logfmt fields:
 *
 *   2026-11-23T22:30:05.123Z info ferry-worker/3[4711] msg="task 42 done" task=42 bytes=1073741824
 *
 * The head is RFC 3339 time, level, program, "/slot" for a worker, and pid.  Values are quoted where they
 * need it; quotes, backslashes and control characters are escaped (\n, \x1b), bytes that are not UTF-8 as
 * \xNN, so that no object key can forge a line.  A line longer than LOG_LINE_MAX is cut, never split.
 *
 * Callers pass URIs through uri_redact() first; this module knows nothing of secrets.
 *
 * Targets: a file (opened O_APPEND|O_CREAT 0640), "stderr", "syslog", or a descriptor handed over by the
 * master.  If a write fails, the event goes to stderr once, is counted, and the next line that can be
 * written says how many were lost.
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

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

/* Until log_open*, everything goes to stderr.  program must outlive the process; slot < 0 is "no slot". */
void log_init(const char *program, int slot);

/* target is "stderr", "syslog" or an absolute path.  Returns 0, or -1 with errno; the old target stays. */
int log_open(const char *target);

/* Takes ownership of fd (from the master); -1 means stderr, LOG_FD_SYSLOG means syslog. */
#define LOG_FD_SYSLOG (-2)
void log_open_fd(int fd);

/* Reopens a file target by its path (USR1).  Returns 0, or -1 with errno and the old file kept. */
int log_reopen(void);

/* The descriptor that lines go to, to hand to a child: a file's or 2; LOG_FD_SYSLOG for syslog. */
int log_fd(void);

/* Events above this syslog priority (LOG_INFO by default, LOG_DEBUG to see all) are dropped. */
void log_set_max_priority(int priority);

/* One event with nothing but a message. */
void log_event(int priority, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#define log_debug(...) log_event(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_event(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_event(LOG_WARNING, __VA_ARGS__)
#define log_error(...) log_event(LOG_ERR, __VA_ARGS__)

/* One event with fields: begin, any number of fields, end.  A NULL string value leaves its field out. */
void log_begin(struct log_line *line, int priority, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void log_str(struct log_line *line, const char *name, const char *value);
void log_int(struct log_line *line, const char *name, int64_t value);
void log_uint(struct log_line *line, const char *name, uint64_t value);
void log_end(struct log_line *line);

/* Logs at LOG_CRIT and exits with code (sysexits.h).  Only at start-up and for our own broken invariants. */
void fatal(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3), noreturn));

#endif
