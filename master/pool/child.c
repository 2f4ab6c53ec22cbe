/*
 * Makes only async-signal-safe calls: when the master forked, its resolver thread may have been in
 * malloc().
 */
#include "master/pool/child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/channel.h"
#include "master/os/signals.h"

/* Above every descriptor that the worker gets, so that moving one never closes another. */
#define SPARE_FD 16

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
		[CHILD_EXEC] = "exec of the program",
	};

	return step >= 0 && (size_t)step < sizeof(names) / sizeof(names[0]) ? names[step]
									    : "an unknown step";
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

/* Copies the descriptor to a number that no descriptor of the worker gets. */
static int
move_up(int fd)
{
	int moved = fcntl(fd, F_DUPFD_CLOEXEC, SPARE_FD);

	if (moved == -1 && errno == EINVAL) /* RLIMIT_NOFILE is SPARE_FD or less */
		errno = EMFILE;
	return moved;
}

/*
 * Gives the worker's descriptors their numbers.  *image and *report get new numbers.  exec closes
 * these two and all other descriptors.
 */
static int
arrange(const struct child_plan *plan, int *image, int *report)
{
	int channel = move_up(plan->channel), null = move_up(plan->null), log = null;

	if (plan->log != -1)
		log = move_up(plan->log);
	*image = move_up(plan->image);
	if (channel == -1 || null == -1 || log == -1 || *image == -1)
		return -1;
	if (dup2(null, 0) == -1 || dup2(null, 1) == -1 ||
	    (!plan->keep_stderr && dup2(null, 2) == -1))
		return -1;
	if (dup2(channel, WORKER_CHANNEL_FD) == -1 || dup2(log, WORKER_LOG_FD) == -1)
		return -1;
	*report = move_up(*report);
	return close_range(WORKER_LOG_FD + 1, ~0U, CLOSE_RANGE_CLOEXEC);
}

void
child_run(const struct child_plan *plan)
{
	int image, report;

	report = move_up(plan->report);
	if (report == -1)
		fail(plan->report, CHILD_DESCRIPTORS);
	if (setpgid(0, 0) == -1) /* ^C at the master's terminal is for the master alone */
		fail(report, CHILD_GROUP);
	if (plan->procs != -1 && write(plan->procs, "0", 1) != 1)
		fail(report, CHILD_CGROUP);
	if (limit_resources(plan->data_limit) == -1)
		fail(report, CHILD_LIMIT);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		fail(report, CHILD_PRIVILEGES);
	if (arrange(plan, &image, &report) == -1)
		fail(report, CHILD_DESCRIPTORS);
	if (signals_reset() == -1)
		fail(report, CHILD_SIGNALS);
	fexecve(image, plan->argv, plan->envp);
	fail(report, CHILD_EXEC);
	_exit(CHILD_EXIT);
}
