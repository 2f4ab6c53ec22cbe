#include "master/keys/command.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/memory.h"
#include "master/keys/document.h"
#include "master/os/signals.h"

#define EXIT_NO_EXEC 127 /* as shells say it */
#define KILL_AGAIN_MS 1000
#define SPARE_FD 16 /* above the standard descriptors */

static char *
variable(const char *name, const char *value)
{
	char *text = NULL;

	if (asprintf(&text, "%s=%s", name, value) == -1)
		memory_exhausted(strlen(value));
	return text;
}

/* The master's own environment may hold secrets, such as PGPASSWORD. */
char **
command_environment(void)
{
	static const char *const passed[] = { "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR" };
	static char *envp[8];
	const struct passwd *account;
	const char *path = getenv("PATH");
	size_t i, n = 0;

	if (envp[0] != NULL)
		return envp;
	envp[n++] = variable("PATH", path != NULL ? path : "/usr/local/bin:/usr/bin:/bin");
	if ((account = getpwuid(geteuid())) != NULL)
		envp[n++] = variable("HOME", account->pw_dir);
	for (i = 0; i < sizeof(passed) / sizeof(passed[0]); i++)
		if (getenv(passed[i]) != NULL)
			envp[n++] = variable(passed[i], getenv(passed[i]));
	return envp;
}

/* Async-signal-safe, as in master/pool/child.c. */
static void __attribute__((noreturn)) run_child(char **argv, char **envp, int out, int null)
{
	out = fcntl(out, F_DUPFD_CLOEXEC, SPARE_FD);
	null = fcntl(null, F_DUPFD_CLOEXEC, SPARE_FD);
	if (setpgid(0, 0) == 0 && dup2(null, STDIN_FILENO) != -1 &&
	    dup2(out, STDOUT_FILENO) != -1 && dup2(null, STDERR_FILENO) != -1 &&
	    close_range(STDERR_FILENO + 1, ~0U, 0) == 0 &&
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && chdir("/") == 0 && signals_reset() == 0)
		execve(argv[0], argv, envp);
	_exit(EXIT_NO_EXEC);
}

int
command_start(
    struct command *c, const struct config_store *store, int null_fd, char *why, size_t why_size)
{
	char *argv[CONFIG_COMMAND_MAX + 1] = { NULL }, **envp = command_environment();
	int fds[2], i;

	for (i = 0; i < store->ncredentials_command; i++)
		argv[i] = (char *)store->credentials_command[i];
	if (faccessat(AT_FDCWD, argv[0], X_OK, AT_EACCESS) == -1 ||
	    pipe2(fds, O_CLOEXEC | O_NONBLOCK) == -1) {
		snprintf(why, why_size, "cannot be run: %s", strerror(errno));
		return -1;
	}
	/* the program's end must wait for us; ours must not wait for it */
	fcntl(fds[1], F_SETFL, 0);
	c->pid = fork();
	if (c->pid == 0)
		run_child(argv, envp, fds[1], null_fd);
	close(fds[1]);
	if (c->pid == -1) {
		snprintf(why, why_size, "cannot be run: fork: %s", strerror(errno));
		close(fds[0]);
		c->pid = 0;
		return -1;
	}
	setpgid(c->pid, c->pid); /* the child does so too; whoever is first */
	c->out = fds[0];
	c->ends_at = clock_ms() + COMMAND_MAX_MS;
	c->fault[0] = '\0';
	c->output = memory_alloc(COMMAND_OUTPUT_MAX + 1);
	c->len = 0;
	return 0;
}

static void
kill_for(struct command *c, const char *fault)
{
	if (c->fault[0] == '\0')
		strlcpy(c->fault, fault, sizeof(c->fault));
	kill(-c->pid, SIGKILL);
}

int
command_fd(const struct command *c)
{
	return command_runs(c) && c->fault[0] == '\0' ? c->out : -1;
}

void
command_kill(struct command *c)
{
	kill_for(c, "is no longer wanted");
}

/* Reads what there is.  A full buffer holds one byte more than may come. */
static void
read_output(struct command *c)
{
	ssize_t n;

	while (c->len <= COMMAND_OUTPUT_MAX) {
		n = c->out == -1
			? -1
			: read(c->out, c->output + c->len, COMMAND_OUTPUT_MAX + 1 - c->len);
		if (n == 0) {
			close(c->out);
			c->out = -1;
		}
		if (n <= 0)
			return;
		c->len += (size_t)n;
	}
	kill_for(c, "printed more than 64 KiB");
}

static bool
has_ended(const struct command *c)
{
	siginfo_t info = { .si_pid = 0 };

	return waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       info.si_pid == c->pid;
}

/* Why the program failed, or -1 if it did not. */
static int
judge(const struct command *c, int status, char *why, size_t why_size)
{
	if (c->fault[0] != '\0')
		snprintf(why, why_size, "%s", c->fault);
	else if (WIFSIGNALED(status))
		snprintf(why, why_size, "was killed by signal %d (%s)", WTERMSIG(status),
		    strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status) != 0)
		snprintf(why, why_size, "exited with code %d", WEXITSTATUS(status));
	else
		return 0;
	return -1;
}

enum command_end
command_look(struct command *c, struct store_keys *keys, char *why, size_t why_size)
{
	bool ended = has_ended(c);
	int status, rc;

	read_output(c);
	if (!ended) {
		if (c->ends_at <= clock_ms()) {
			kill_for(c, "took longer than 30 s");
			c->ends_at = clock_ms() + KILL_AGAIN_MS;
		}
		return COMMAND_RUNS;
	}
	kill(-c->pid, SIGKILL); /* what it left running in its group */
	while (waitpid(c->pid, &status, 0) == -1 && errno == EINTR)
		continue;
	rc = judge(c, status, why, why_size);
	if (rc == 0)
		rc = document_read(c->output, c->len, keys, why, why_size);
	if (c->out != -1)
		close(c->out);
	freezero(c->output, COMMAND_OUTPUT_MAX + 1);
	memset(c, 0, sizeof(*c));
	return rc == 0 ? COMMAND_DONE : COMMAND_FAILED;
}
