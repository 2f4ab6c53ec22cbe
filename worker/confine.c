#include "worker/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/log.h"

/* The timer's interval, and how many looks that find no master end the process. */
#define LOOK_MS 400
#define LOOKS 5

static int watched = -1; /* the channel, for on_tick() */

static void
check_user(int channel)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (geteuid() != 0)
		return;
	if (getsockopt(channel, SOL_SOCKET, SO_PEERCRED, &peer, &len) == -1)
		fatal(EX_USAGE, "descriptor %d is no channel: %s", channel, strerror(errno));
	if (peer.uid != 0)
		fatal(EX_NOPERM, "runs as root, but its master runs as uid %u", (unsigned)peer.uid);
}

void
confine(int slot, int channel, int keep)
{
	struct rlimit none = { 0, 0 };
	char name[16];

	if (close_range((unsigned)keep + 1, ~0U, 0) == -1)
		fatal(EX_OSERR, "close_range: %s", strerror(errno));
	check_user(channel);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		fatal(EX_OSERR, "no_new_privs: %s", strerror(errno));
	if (setrlimit(RLIMIT_CORE, &none) == -1)
		fatal(EX_OSERR, "RLIMIT_CORE: %s", strerror(errno));
#ifndef CONFINE_TRACED
	/* forbids the leak check of the sanitizers, which attaches to its own process */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1)
		fatal(EX_OSERR, "PR_SET_DUMPABLE: %s", strerror(errno));
#endif
	snprintf(name, sizeof(name), "ferry-worker/%d", slot);
	prctl(PR_SET_NAME, name, 0, 0, 0);
	umask(077);
}

static void
on_tick(int sig)
{
	static volatile sig_atomic_t gone;
	struct pollfd pfd = { .fd = watched };
	int saved = errno;

	(void)sig;
	if (poll(&pfd, 1, 0) == 1 && (pfd.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0 &&
	    ++gone == LOOKS)
		_exit(EX_UNAVAILABLE);
	errno = saved;
}

void
confine_watch_master(int channel)
{
	struct sigaction tick = { .sa_handler = on_tick, .sa_flags = SA_RESTART };
	struct timeval often = { .tv_usec = LOOK_MS * 1000 };
	struct itimerval timer = { .it_interval = often, .it_value = often };
	int flags;

	watched = channel;
	sigemptyset(&tick.sa_mask);
	if (sigaction(SIGALRM, &tick, NULL) == -1 || signal(SIGPIPE, SIG_IGN) == SIG_ERR ||
	    (flags = fcntl(channel, F_GETFL)) == -1 ||
	    fcntl(channel, F_SETFL, flags | O_NONBLOCK) == -1 ||
	    setitimer(ITIMER_REAL, &timer, NULL) == -1)
		fatal(EX_OSERR, "watch the master: %s", strerror(errno));
}
