/*
 * Where lines go: file, stderr, syslog or a descriptor of the master's; what happens when they
 * cannot.  How a line is put together is log_line.c's.
 */
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log_line.h"

enum target { TARGET_STDERR, TARGET_FILE, TARGET_FD, TARGET_SYSLOG };

static struct {
	enum target target;
	int fd;
	int max_priority;
	char *path; /* of TARGET_FILE, heap */
	char ident[64]; /* program, and "/slot" for a worker */
	uint64_t lost; /* lines that the target did not take */
	int lost_errno;
	bool torn; /* the last write ended in mid-line */
} state = {.target = TARGET_STDERR, .fd = STDERR_FILENO, .max_priority = LOG_INFO};

void
log_init(const char *program, int slot)
{
	if (slot < 0)
		strlcpy(state.ident, program, sizeof(state.ident));
	else
		snprintf(state.ident, sizeof(state.ident), "%s/%d", program, slot);
}

const char *
log_ident(void)
{
	return state.ident[0] != '\0' ? state.ident : getprogname();
}

static void
set_target(enum target target, int fd, char *path)
{
	if (state.target == TARGET_SYSLOG)
		closelog();
	if (state.fd > STDERR_FILENO)
		close(state.fd);
	free(state.path);
	state.target = target;
	state.fd = fd;
	state.path = path;
	state.torn = false;
	if (target == TARGET_SYSLOG)
		openlog(log_ident(), LOG_PID, LOG_DAEMON);
}

static int
open_file(const char *path)
{
	return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
}

int
log_open(const char *target)
{
	char *path;
	int fd;

	if (strcmp(target, "stderr") == 0) {
		set_target(TARGET_STDERR, STDERR_FILENO, NULL);
		return 0;
	}
	if (strcmp(target, "syslog") == 0) {
		set_target(TARGET_SYSLOG, -1, NULL);
		return 0;
	}
	if ((path = strdup(target)) == NULL)
		return -1;
	if ((fd = open_file(path)) == -1) {
		int saved = errno;

		free(path);
		errno = saved;
		return -1;
	}
	set_target(TARGET_FILE, fd, path);
	return 0;
}

void
log_open_fd(int fd)
{
	if (fd == LOG_FD_SYSLOG)
		set_target(TARGET_SYSLOG, -1, NULL);
	else if (fd < 0)
		set_target(TARGET_STDERR, STDERR_FILENO, NULL);
	else
		set_target(TARGET_FD, fd, NULL);
}

int
log_reopen(void)
{
	int fd;

	if (state.target != TARGET_FILE)
		return 0;
	if ((fd = open_file(state.path)) == -1)
		return -1;
	close(state.fd);
	state.fd = fd;
	state.torn = false;
	return 0;
}

int
log_fd(void)
{
	return state.target == TARGET_SYSLOG ? LOG_FD_SYSLOG : state.fd;
}

void
log_set_max_priority(int priority)
{
	/* Errors are never dropped: the line about lost ones is an error. */
	state.max_priority = priority < LOG_ERR ? LOG_ERR : priority;
}

bool
log_wants(int priority)
{
	return priority <= state.max_priority;
}

bool
log_wants_head(void)
{
	return state.target != TARGET_SYSLOG;
}

/* One write(); the rest only if a signal or a full disk cut it short.  Returns what was written,
 * errno if it is less. */
static size_t
write_all(int fd, const char *text, size_t len)
{
	size_t done = 0;
	ssize_t n;

	while (done < len) {
		n = write(fd, text + done, len - done);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == 0)
			errno = ENOSPC;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return done;
}

static int
write_line(const char *text, size_t len)
{
	size_t done = write_all(state.fd, text, len);

	if (done > 0 && done < len)
		state.torn = true;
	return done == len ? 0 : -1;
}

/* Ends a line that was torn, and says how many were lost, so that the log has no silent gaps. */
static int
write_arrears(void)
{
	struct log_line line;

	if (state.torn) {
		if (write_line("\n", 1) == -1)
			return -1;
		state.torn = false;
	}
	if (state.lost == 0)
		return 0;
	log_begin(&line, LOG_ERR, "log lines were lost");
	log_uint(&line, "lost", state.lost);
	log_str(&line, "error", strerror(state.lost_errno));
	if (write_line(line.text, log_line_end(&line)) == -1)
		return -1;
	state.lost = 0;
	return 0;
}

void
log_end(struct log_line *line)
{
	int saved = errno;
	size_t len;

	if (line->len == 0)
		return;
	len = log_line_end(line);
	if (state.target == TARGET_SYSLOG) {
		syslog(line->priority, "%.*s", (int)(len - 1), line->text);
	} else if (write_arrears() == -1 || write_line(line->text, len) == -1) {
		state.lost++;
		state.lost_errno = errno;
		if (state.fd != STDERR_FILENO)
			write_all(STDERR_FILENO, line->text, len);
	}
	errno = saved;
}

void
log_event(int priority, const char *fmt, ...)
{
	struct log_line line;
	va_list ap;

	va_start(ap, fmt);
	log_line_vbegin(&line, priority, fmt, ap);
	va_end(ap);
	log_end(&line);
}

void
fatal(int code, const char *fmt, ...)
{
	struct log_line line;
	va_list ap;

	va_start(ap, fmt);
	log_line_vbegin(&line, LOG_CRIT, fmt, ap);
	va_end(ap);
	log_end(&line);
	exit(code);
}
