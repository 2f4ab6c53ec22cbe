/*
 * Where lines go, and what happens to a line that cannot be written.
 */
#include "common/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log_line.h"

enum target { TARGET_STDERR, TARGET_FILE, TARGET_FD, TARGET_SYSLOG };

static struct {
	/* The target. */
	enum target target;
	int fd;
	char *path; /* of TARGET_FILE, heap */

	/* The lines. */
	int max_priority;
	bool is_journal; /* standard error goes to the journal of systemd */
	char ident[64]; /* program, and "/slot" for a worker */

	/* Failures of the target. */
	uint64_t lost; /* lines not written since the last success */
	int lost_errno;
	bool torn; /* the last write ended in mid-line */
} state = { .target = TARGET_STDERR, .fd = STDERR_FILENO, .max_priority = LOG_INFO };

/* systemd tells in JOURNAL_STREAM which descriptor it connected to the journal: systemd.exec(5). */
static bool
stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char ours[64];
	struct stat st;

	if (stream == NULL || fstat(STDERR_FILENO, &st) == -1)
		return false;
	snprintf(ours, sizeof(ours), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return strcmp(stream, ours) == 0;
}

void
log_init(const char *program, int slot)
{
	state.is_journal = stderr_is_journal();
	if (slot < 0)
		strlcpy(state.ident, program, sizeof(state.ident));
	else
		snprintf(state.ident, sizeof(state.ident), "%s/%d", program, slot);
}

static const char *
ident(void)
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
		openlog(ident(), LOG_PID, LOG_DAEMON);
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
	/* Errors are never dropped: the line that counts lost lines is an error. */
	state.max_priority = priority < LOG_ERR ? LOG_ERR : priority;
}

static void __attribute__((format(printf, 3, 0)))
vbegin(struct log_line *line, int priority, const char *fmt, va_list ap)
{
	bool journal = state.target == TARGET_STDERR && state.is_journal;
	struct log_head head = {
		.clock = journal ? LOG_CLOCK_JOURNAL : LOG_CLOCK_OURS,
		/* syslog writes a head of its own */
		.ident = state.target != TARGET_SYSLOG ? ident() : NULL,
	};

	line->len = 0;
	if ((priority & LOG_PRIMASK) <= state.max_priority)
		log_line_vbegin(line, priority, &head, fmt, ap);
}

void
log_begin(struct log_line *line, int priority, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vbegin(line, priority, fmt, ap);
	va_end(ap);
}

/* Calls write() once, and again only if a signal or a full disk cut the text short.  Returns the
 * bytes written; errno says why they are fewer than len. */
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

/* Ends a torn line and says how many lines were lost, so that the log has no silent gaps. */
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
	log_begin(&line, LOG_ERR, "%" PRIu64 " line%s of the log %s lost", state.lost,
	    state.lost == 1 ? "" : "s", state.lost == 1 ? "was" : "were");
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

uint64_t
log_take_lost(int *error)
{
	uint64_t lost = state.lost;

	*error = state.lost_errno;
	state.lost = 0;
	return lost;
}

void
log_add_lost(uint64_t lines, int error)
{
	state.lost += lines;
	state.lost_errno = error;
}

void
log_event(int priority, const char *fmt, ...)
{
	struct log_line line;
	va_list ap;

	va_start(ap, fmt);
	vbegin(&line, priority, fmt, ap);
	va_end(ap);
	log_end(&line);
}

void
fatal(int code, const char *fmt, ...)
{
	struct log_line line;
	va_list ap;

	va_start(ap, fmt);
	vbegin(&line, LOG_CRIT, fmt, ap);
	va_end(ap);
	log_end(&line);
	exit(code);
}
