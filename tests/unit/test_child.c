/*
 * What a worker process is born with: descriptors, signals, privileges, limits, environment.  A
 * shell takes the place of the worker and tells what it finds.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/channel.h"
#include "master/pool/child.h"
#include "master/pool/spawn.h"
#include "tests/unit/tap.h"

#define ASK                                                                     \
	"grep NoNewPrivs /proc/self/status;"                                    \
	"grep -E 'core file|data size' /proc/self/limits | tr -s ' ';"          \
	"echo \"group $(($(ps -o pgid= -p $$) == $$))\";"                       \
	"for fd in /proc/$$/fd/*; do echo \"${fd##*/} $(readlink $fd)\"; done;" \
	"echo end"

static char text[8192];
static char **environment;

/* Reads all that comes from fd. */
static void
slurp(int fd)
{
	size_t len = 0;
	ssize_t n;

	while ((n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
}

/* Runs the program in the worker's place, and writes what it writes to its log into text. */
static void
run(struct child_plan *plan, const char *program, char **argv)
{
	int words[2], report[2];
	pid_t pid;

	if (pipe2(words, O_CLOEXEC) == -1 || pipe2(report, O_CLOEXEC) == -1)
		abort();
	plan->log = words[1];
	plan->report = report[1];
	plan->image = open(program, O_RDONLY | O_CLOEXEC);
	plan->argv = argv;
	plan->envp = environment;
	pid = fork();
	if (pid == 0)
		child_run(plan);
	close(words[1]);
	close(report[1]);
	slurp(words[0]);
	waitpid(pid, NULL, 0);
	close(plan->image);
	close(words[0]);
	close(report[0]);
}

static void
test_birth(int null)
{
	char shell[] = "sh", option[] = "-c", script[] = "exec 1>&4;" ASK;
	char *argv[] = { shell, option, script, NULL };
	struct child_plan plan = {
		.channel = null, .null = null, .procs = -1, .data_limit = 77 << 20
	};
	int zero = open("/dev/zero", O_RDONLY);
	int stray = fcntl(zero, F_DUPFD, 40); /* not close-on-exec */

	close(zero);
	run(&plan, "/bin/sh", argv);
	ok(strstr(text, "\nend\n") != NULL, "a worker is started: %s", text);
	ok(strstr(text, "NoNewPrivs:\t1\n") != NULL, "it can gain no privileges");
	ok(strstr(text, "Max core file size 0 0 ") != NULL, "it writes no core, with its secrets");
	ok(strstr(text, "Max data size 80740352 80740352 ") != NULL, "it has its limit of memory");
	ok(strstr(text, "\ngroup 1\n") != NULL, "it has a process group of its own");
	ok(strstr(text, "/dev/zero") == NULL, "our other descriptors are closed");
	ok(strstr(text, "\n0 /dev/null\n") != NULL && strstr(text, "\n2 /dev/null\n") != NULL &&
		strstr(text, "\n3 /dev/null\n") != NULL && strstr(text, "\n4 pipe:") != NULL,
	    "it has the descriptors that it is promised");
	close(stray);
}

/* A shell would reset some of them by itself. */
static void
test_signals(int null)
{
	char name[] = "dd", from[] = "if=/proc/self/status", to[] = "of=/dev/fd/4";
	char *argv[] = { name, from, to, NULL };
	struct child_plan plan = { .channel = null, .null = null, .procs = -1 };
	/* the kernel's struct: glibc keeps the signals 32 and 33 for itself, and refuses to change
	 * them */
	unsigned long ignore[32] = { (unsigned long)SIG_IGN };
	sigset_t all;
	int signo;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	for (signo = 1; signo < NSIG; signo++)
		if (signo != SIGCHLD)
			syscall(SYS_rt_sigaction, signo, ignore, NULL, (NSIG - 1) / 8);
	run(&plan, "/bin/dd", argv);
	ok(strstr(text, "SigBlk:\t0000000000000000\n") != NULL, "no signal is blocked");
	ok(strstr(text, "SigIgn:\t0000000000000000\n") != NULL, "no signal is ignored: %s", text);
}

static void
test_environment(void)
{
	char **variable;
	bool secret = false, passfile = false, path = false;

	for (variable = environment; *variable != NULL; variable++) {
		secret |= strstr(*variable, "hush") != NULL;
		passfile |= strcmp(*variable, "PGPASSFILE=/passwords") == 0;
		path |= strncmp(*variable, "PATH=", 5) == 0;
	}
	ok(!secret, "a worker gets no secrets, tokens and proxies of ours");
	ok(passfile && path, "it gets what it needs for the database and the loader");
}

int
main(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	setenv("FERRY_TEST_SECRET", "hush", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "hush", 1);
	setenv("https_proxy", "http://hush/", 1);
	setenv("PGPASSFILE", "/passwords", 1);
	setenv("PATH", "/usr/bin:/bin", 0);
	environment = spawn_environment();
	test_birth(null);
	test_signals(null);
	test_environment();
	close(null);
	return done_testing();
}
