#include "worker/fault.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sysexits.h>
#include <ucontext.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/channel.h"

/* channel_send() has a message on its stack. */
#define STACK_SIZE (64 * 1024 + 2 * sizeof(struct msg))

/* Begin and end of the program in memory: ld(1). */
extern const char __executable_start[], etext[];

static int channel;
static struct msg words;

/* Where the signal came, as an offset in this program; -1: elsewhere, or unknown. */
static int64_t
offset_of(const ucontext_t *context)
{
	uintptr_t pc, start = (uintptr_t)__executable_start;

#if defined(__x86_64__)
	pc = (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
	pc = (uintptr_t)context->uc_mcontext.pc;
#else
	(void)context;
	return -1;
#endif
	return pc >= start && pc < (uintptr_t)etext ? (int64_t)(pc - start) : -1;
}

/* Makes async-signal-safe calls only. */
static void
on_fault(int signo, siginfo_t *info, void *context)
{
	struct msg_fault *fault = &words.fault;
	bool sent =
	    info->si_code == SI_USER || info->si_code == SI_TKILL || info->si_code == SI_QUEUE;

	memset(fault, 0, sizeof(*fault));
	fault->signo = signo;
	fault->code = info->si_code;
	fault->pc = -1;
	if (sent) {
		fault->pid = info->si_pid;
		fault->uid = (int)info->si_uid;
		fault->itself = info->si_pid == getpid();
	} else if (signo == SIGSYS) {
		fault->system_call = info->si_syscall;
	} else {
		fault->address = (uintptr_t)info->si_addr;
		fault->pc = offset_of(context);
	}
	channel_send(channel, &words, -1);
	/* It is blocked until this handler returns; then its default action ends the process. */
	raise(signo);
}

void
fault_watch(int fd, int slot, uint64_t generation)
{
	static const int fatal_ones[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS,
		SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU, SIGXFSZ };
	static char stack[STACK_SIZE];
	const stack_t other = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction action = { .sa_sigaction = on_fault,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | (int)SA_RESETHAND };
	size_t i;

	channel = fd;
	words.type = MSG_FAULT;
	words.slot = slot;
	words.generation = generation;
	sigemptyset(&action.sa_mask);
	/* a fault of a stack that is full needs another stack */
	if (sigaltstack(&other, NULL) == -1)
		fatal(EX_OSERR, "sigaltstack: %s", strerror(errno));
	for (i = 0; i < sizeof(fatal_ones) / sizeof(fatal_ones[0]); i++)
		if (sigaction(fatal_ones[i], &action, NULL) == -1)
			fatal(EX_OSERR, "sigaction: %s", strerror(errno));
}
