/*
 * The child between fork and exec.  Only async-signal-safe calls: the master may have had a resolver thread in malloc() when
 * it forked.
 */
#include "master/child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "master/spawn.h"

#define SPARE_FD 16 /* above every descriptor that the worker gets, so that moving one never closes another */

const char *
child_step_name(int step)
{
	static const char *const names[] = {
		[CHILD_GROUP] = "setpgid",
		[CHILD_CGROUP] = "joining its cgroup",
		[CHILD_LIMIT] = "setrlimit",
		[CHILD_PRIVILEGES] = "giving up privileges",
		[CHILD_DESCRIPTORS] = "arranging descriptors",
		[CHILD_SIGNALS] = "resetting signals",
		[CHILD_EXEC] = "exec of ferry-worker",
	};

	return step >= 0 && (size_t)step < sizeof(names) / sizeof(names[0]) ? names[step] : "an unknown step";
}

static void
fail(int report, enum child_step step)
{
	struct child_report r = { .step = step, .error = errno };
	ssize_t ignored;

	ignored = write(report, &r, sizeof(r));
	(void)ignored;
	_exit(CHILD_EXIT);
}

static int
limit_resources(int64_t data_limit)
{
	struct rlimit none = { 0, 0 }, data = { (rlim_t)data_limit, (rlim_t)data_limit };

	if (setrlimit(RLIMIT_CORE, &none) == -1)
		return -1;
	return data_limit > 0 ? setrlimit(RLIMIT_DATA, &data) : 0;
}

/* Copies the descriptor out of the way of those that are about to be given their numbers. */
static int
move_up(int fd)
{
	int moved = fcntl(fd, F_DUPFD_CLOEXEC, SPARE_FD);

	if (moved == -1 && errno == EINVAL) /* what it says where the limit is SPARE_FD or less */
		errno = EMFILE;
	return moved;
}

/* Numbers the worker's descriptors.  Everything else ends with exec; *image and *report move, and end with it too. */
static int
arrange(const struct child_plan *plan, int *image, int *report)
{
	int channel = move_up(plan->channel), null = move_up(plan->null), log = null;

	if (plan->log != -1)
		log = move_up(plan->log);
	*image = move_up(plan->image);
	if (channel == -1 || null == -1 || log == -1 || *image == -1)
		return -1;
	if (dup2(null, 0) == -1 || dup2(null, 1) == -1 || (!plan->keep_stderr && dup2(null, 2) == -1))
		return -1;
	if (dup2(channel, SPAWN_CHANNEL_FD) == -1 || dup2(log, SPAWN_LOG_FD) == -1)
		return -1;
	*report = move_up(*report);
	return close_range(SPAWN_LOG_FD + 1, ~0U, CLOSE_RANGE_CLOEXEC);
}

static int
reset_signals(void)
{
	struct sigaction standard = { .sa_handler = SIG_DFL };
	sigset_t none;
	int signo;

	/* KILL, STOP and what the C library keeps for itself refuse; they are as they should be. */
	for (signo = 1; signo < NSIG; signo++)
		sigaction(signo, &standard, NULL);
	sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL);
}

void
child_run(const struct child_plan *plan)
{
	int image, report;

	report = move_up(plan->report);
	if (report == -1)
		fail(plan->report, CHILD_DESCRIPTORS);
	if (setpgid(0, 0) == -1) /* a ^C at the master's terminal is the master's */
		fail(report, CHILD_GROUP);
	if (plan->procs != -1 && write(plan->procs, "0", 1) != 1)
		fail(report, CHILD_CGROUP);
	if (limit_resources(plan->data_limit) == -1)
		fail(report, CHILD_LIMIT);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		fail(report, CHILD_PRIVILEGES);
	if (arrange(plan, &image, &report) == -1)
		fail(report, CHILD_DESCRIPTORS);
	if (reset_signals() == -1)
		fail(report, CHILD_SIGNALS);
	fexecve(image, plan->argv, plan->envp);
	fail(report, CHILD_EXEC);
	_exit(CHILD_EXIT);
}
