/*
 * The log in real files: the form of a line, hostile values, and targets that fail.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#include "common/base/log.h"
#include "tests/unit/tap.h"

static char dir[] = "/tmp/ferry-log-XXXXXX";
static char path[64], moved[64];
static char text[4 * LOG_LINE_MAX];

/* Reads the whole file into text. */
static const char *
slurp(const char *file)
{
	int fd = open(file, O_RDONLY);
	ssize_t n = fd == -1 ? -1 : read(fd, text, sizeof(text) - 1);

	close(fd);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

/* Starts with an empty file. */
static void
fresh(void)
{
	unlink(path);
	if (log_open(path) == -1)
		perror(path);
}

/* The first line without head and newline. */
static const char *
body(void)
{
	char *line = (char *)(uintptr_t)slurp(path), *rest = strstr(line, "] ");

	line[strcspn(line, "\n")] = '\0';
	return rest != NULL ? rest + 2 : line;
}

static void
test_head(void)
{
	char head[64];

	fresh();
	log_info("hello");
	slurp(path);
	ok(text[10] == 'T' && text[23] == 'Z' && text[24] == ' ', "a line begins with the time");
	snprintf(head, sizeof(head), " info ferry-test/3[%d] msg=\"hello\"\n", (int)getpid());
	is_str(text + 24, head, "then level, program, slot and pid, then the message");
	log_init("ferry-test", -1);
	fresh();
	log_error("hello %d", 7);
	snprintf(head, sizeof(head), " error ferry-test[%d] msg=\"hello 7\"\n", (int)getpid());
	is_str(slurp(path) + 24, head, "no slot, no number");
	log_init("ferry-test", 3);
	fresh();
	log_debug("hidden");
	is_str(slurp(path), "", "debug is dropped by default");
	log_set_max_priority(LOG_DEBUG);
	log_debug("shown");
	ok(strstr(slurp(path), " debug ") != NULL, "and shown when asked for");
	fresh();
	log_set_max_priority(LOG_EMERG);
	log_error("shown");
	ok(strstr(slurp(path), " error ") != NULL, "errors are shown in any case");
	log_set_max_priority(LOG_INFO);
}

static void
test_fields(void)
{
	struct log_line line;

	fresh();
	log_begin(&line, LOG_WARNING, "task %d", 42);
	log_int(&line, "task", -42);
	log_uint(&line, "crc64", UINT64_MAX);
	log_str(&line, "plain", "a/b:c");
	log_str(&line, "none", NULL);
	log_str(&line, "empty", "");
	log_str(&line, "space", "a b");
	log_str(&line, "equals", "a=b");
	log_str(&line, "utf", "é");
	log_end(&line);
	is_str(body(),
	    "msg=\"task 42\" task=-42 crc64=18446744073709551615 plain=a/b:c empty=\"\" space=\"a "
	    "b\" "
	    "equals=\"a=b\" utf=\"é\"",
	    "fields, quoted where they need it");
}

static void
test_escapes(void)
{
	static const struct {
		const char *value, *shown;
	} cases[] = {
		{ "a\nb", "\"a\\nb\"" },
		{ "a\r\tb", "\"a\\r\\tb\"" },
		{ "\"\\", "\"\\\"\\\\\"" },
		{ "\x1b[31m", "\"\\x1b[31m\"" },
		{ "\x7f", "\"\\x7f\"" },
		{ "\xc2\x85", "\"\\xc2\\x85\"" }, /* next line, U+0085 */
		{ "\xe2\x80\xa8", "\"\\xe2\\x80\\xa8\"" }, /* line separator, U+2028 */
		{ "\xff", "\"\\xff\"" },
		{ "\xc3", "\"\\xc3\"" }, /* cut short */
		{ "\xc0\xaf", "\"\\xc0\\xaf\"" }, /* overlong */
		{ "\xe0\x80\xaf", "\"\\xe0\\x80\\xaf\"" },
		{ "\xed\xa0\x80", "\"\\xed\\xa0\\x80\"" }, /* surrogate */
		{ "\xf4\x90\x80\x80", "\"\\xf4\\x90\\x80\\x80\"" }, /* beyond U+10FFFF */
		{ "\xf0\x9f\x9a\xa2", "\"\xf0\x9f\x9a\xa2\"" },
	};
	struct log_line line;
	char want[64];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fresh();
		log_begin(&line, LOG_INFO, "m");
		log_str(&line, "v", cases[i].value);
		log_end(&line);
		snprintf(want, sizeof(want), "msg=\"m\" v=%s", cases[i].shown);
		is_str(body(), want, "escaped: %s", cases[i].shown);
	}
}

/* However long the parts are, a line is whole, ends with a newline and does not exceed the limit.
 */
static void
test_lengths(void)
{
	static char value[2 * LOG_LINE_MAX];
	struct log_line line;
	size_t len, bad = 0, cut = 0, whole = 0;
	const char *number;

	for (len = LOG_LINE_MAX - 120; len < LOG_LINE_MAX + 10; len++) {
		fresh();
		memset(value, 'v', len);
		value[len] = '\0';
		log_begin(&line, LOG_INFO, "m");
		log_str(&line, "v", value);
		log_int(&line, "task", 1234567890);
		log_str(&line, "last", "\"\n\"");
		log_end(&line);
		slurp(path);
		bad += strlen(text) > LOG_LINE_MAX || text[strlen(text) - 1] != '\n' ||
		       strchr(text, '\n') != text + strlen(text) - 1;
		number = strstr(text, " task=");
		cut += number != NULL && strncmp(number, " task=1234567890", 16) != 0;
		whole += number != NULL;
	}
	is_int(bad, 0, "lines about the limit are cut to one line each");
	ok(cut == 0 && whole > 0, "a number is there whole or not at all");
	fresh();
	memset(value, '\n', sizeof(value) - 1);
	log_info("%s", value);
	slurp(path);
	ok(strlen(text) <= LOG_LINE_MAX && strcmp(text + strlen(text) - 4, "\\n\"\n") == 0,
	    "a message of newlines is cut between two escapes, and its quote closed");
}

static void
test_targets(void)
{
	struct stat st;
	int fd;

	fresh();
	ok(stat(path, &st) == 0 && (st.st_mode & 07777) == 0640, "a new log has mode 0640");
	ok((fcntl(log_fd(), F_GETFD) & FD_CLOEXEC) != 0 &&
		(fcntl(log_fd(), F_GETFL) & O_APPEND) != 0,
	    "it is close-on-exec and appends");
	log_info("one");
	rename(path, moved);
	log_info("two");
	is_int(log_reopen(), 0, "reopened after a rename");
	log_info("three");
	ok(strstr(slurp(path), "three") != NULL && strstr(text, "two") == NULL,
	    "the new file begins after it");
	ok(strstr(slurp(moved), "one") != NULL && strstr(text, "two") != NULL,
	    "the old one has what came before");

	fd = log_fd();
	errno = 0;
	ok(log_open("/nonexistent/log") == -1 && errno == ENOENT, "a path that cannot be opened");
	ok(log_open(dir) == -1 && errno == EISDIR, "a directory");
	is_int(log_fd(), fd, "leave the old target");
	log_info("four");
	ok(strstr(slurp(path), "four") != NULL, "in use");

	fd = open(path, O_WRONLY | O_APPEND);
	log_open_fd(fd);
	is_int(log_fd(), fd, "a descriptor from the master");
	log_info("five");
	ok(strstr(slurp(path), "five") != NULL, "is written to");
	is_int(log_reopen(), 0, "and not ours to reopen");
	log_open("syslog");
	is_int(log_fd(), LOG_FD_SYSLOG, "syslog has no descriptor");
	ok(fcntl(fd, F_GETFD) == -1, "and the one from before is closed");
	log_open("stderr");
	is_int(log_fd(), STDERR_FILENO, "stderr has");
}

/* The disk is full in mid-line: RLIMIT_FSIZE cuts a write short and lets the next one fail. */
static void
test_full_disk(void)
{
	struct rlimit old, full;
	const char *notice;
	int saved, copy = dup(STDERR_FILENO);

	fresh();
	log_info("before");
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	full = old;
	full.rlim_cur = strlen(slurp(path)) + 20;
	saved = open(moved, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	dup2(saved, STDERR_FILENO);
	setrlimit(RLIMIT_FSIZE, &full);
	errno = 99;
	log_info("lost in mid-line");
	is_int(errno, 99, "errno survives a log that fails");
	setrlimit(RLIMIT_FSIZE, &old);
	dup2(copy, STDERR_FILENO);
	close(saved);
	close(copy);
	ok(strlen(slurp(moved)) > 0, "the event went to stderr, as much of it as fits there");
	log_info("after");
	slurp(path);
	notice =
	    strstr(text, "msg=\"1 line of the log was lost\" lost=1 error=\"File too large\"\n");
	ok(notice != NULL, "the next line that can be written says how many were lost, and why");
	while (notice != NULL && notice > text && notice[-1] != '\n')
		notice--;
	ok(notice != NULL && notice[10] == 'T' && notice[23] == 'Z',
	    "on a line of its own, not behind the torn one");
	ok(strstr(text, "msg=\"after\"\n") > strstr(text, " lost="), "then comes itself");
	log_info("again");
	is_int(strstr(strstr(slurp(path), " lost=") + 1, " lost=") == NULL, 1, "it is said once");
}

/* The disk is full from the first byte on. */
static void
test_dev_full(void)
{
	int i, fd, copy = dup(STDERR_FILENO),
		   sink = open(moved, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);

	fresh();
	fd = open("/dev/full", O_WRONLY);
	dup2(sink, STDERR_FILENO);
	dup2(fd, log_fd());
	for (i = 0; i < 3; i++)
		log_info("event %d", i);
	dup2(copy, STDERR_FILENO);
	ok(strstr(slurp(moved), "event 0") != NULL && strstr(text, "event 2") != NULL,
	    "lost events are on stderr");
	log_reopen();
	log_info("after");
	ok(strstr(slurp(path), "lost=3 error=\"No space left on device\"\n") != NULL,
	    "and counted in the log");
	close(fd);
	close(copy);
	close(sink);
}

/* Two processes write to one file: every line is whole. */
static void
test_shared(void)
{
	int i, status, bad = 0, n = 0;
	char *line, *rest;
	pid_t pid;

	fresh();
	pid = fork();
	for (i = 0; i < 100; i++)
		log_info("%s %040d end", pid == 0 ? "child" : "parent", i);
	if (pid == 0)
		_exit(0);
	waitpid(pid, &status, 0);
	slurp(path);
	for (rest = text; (line = strsep(&rest, "\n")) != NULL && *line != '\0'; n++)
		bad += line[10] != 'T' || strcmp(line + strlen(line) - 5, " end\"") != 0;
	is_int(n, 200, "two processes wrote 200 lines");
	is_int(bad, 0, "none of them torn");
}

static void
test_fatal(void)
{
	int status;
	pid_t pid;

	fresh();
	if ((pid = fork()) == 0)
		fatal(78, "broken: %s", "yes");
	waitpid(pid, &status, 0);
	ok(WIFEXITED(status) && WEXITSTATUS(status) == 78, "fatal() exits with its code");
	ok(strstr(slurp(path), " crit ") != NULL && strstr(text, "broken: yes") != NULL,
	    "and says why");
}

int
main(void)
{
	if (mkdtemp(dir) == NULL)
		return 1;
	snprintf(path, sizeof(path), "%s/log", dir);
	snprintf(moved, sizeof(moved), "%s/log.1", dir);
	umask(022);
	log_init("ferry-test", 3);
	test_head();
	test_fields();
	test_escapes();
	test_lengths();
	test_targets();
	test_full_disk();
	test_dev_full();
	test_shared();
	test_fatal();
	log_open("stderr");
	unlink(path);
	unlink(moved);
	rmdir(dir);
	return done_testing();
}
