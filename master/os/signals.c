#include "master/os/signals.h"

#include <signal.h>
#include <stddef.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KERNEL_SIGSET_BYTES ((NSIG - 1) / 8)

static const int wanted[] = { SIGHUP, SIGUSR1, SIGTERM, SIGINT, SIGQUIT, SIGTTIN, SIGTTOU,
	SIGCHLD };

int
signals_open(void)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN }, standard = { .sa_handler = SIG_DFL };
	sigset_t set;
	size_t i;

	sigemptyset(&set);
	for (i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		sigaddset(&set, wanted[i]);
		/* An ignored signal (nohup, a background job) would not reach the descriptor. */
		if (sigaction(wanted[i], &standard, NULL) == -1)
			return -1;
	}
	if (sigaction(SIGPIPE, &ignore, NULL) == -1 || sigprocmask(SIG_SETMASK, &set, NULL) == -1)
		return -1;
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int
signals_next(int fd)
{
	struct signalfd_siginfo info;

	return read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info) ? (int)info.ssi_signo : 0;
}

int
signals_reset(void)
{
	/* The kernel's struct sigaction of every architecture is shorter, and all zeros is SIG_DFL.
	 */
	static const char standard[256];
	sigset_t none;
	int signo;

	/*
	 * sigaction() refuses the signals that the C library keeps for itself, and the process that
	 * started ferryd may have left these ignored.  The kernel refuses KILL and STOP alone.
	 */
	for (signo = 1; signo < NSIG; signo++)
		syscall(SYS_rt_sigaction, signo, standard, NULL, KERNEL_SIGSET_BYTES);
	sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL);
}
