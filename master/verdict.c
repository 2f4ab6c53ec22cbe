#include "master/verdict.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "common/base/clock.h"
#include "common/base/units.h"
#include "master/pool/slot.h"

/* The reasons of signals that the kernel sends: sigaction(2). */
static const struct {
	int signo;
	int code;
	const char *name;
} codes[] = {
	{ SIGSEGV, SEGV_MAPERR, "SEGV_MAPERR" }, { SIGSEGV, SEGV_ACCERR, "SEGV_ACCERR" },
	{ SIGBUS, BUS_ADRALN, "BUS_ADRALN" }, { SIGBUS, BUS_ADRERR, "BUS_ADRERR" },
	{ SIGBUS, BUS_OBJERR, "BUS_OBJERR" }, { SIGFPE, FPE_INTDIV, "FPE_INTDIV" },
	{ SIGFPE, FPE_INTOVF, "FPE_INTOVF" }, { SIGILL, ILL_ILLOPC, "ILL_ILLOPC" },
	{ SIGILL, ILL_ILLOPN, "ILL_ILLOPN" }, { SIGTRAP, TRAP_BRKPT, "TRAP_BRKPT" },
	{ SIGSYS, 1, "SYS_SECCOMP" }, /* asm-generic/siginfo.h */
};

static const char *
code_name(const struct msg_fault *fault)
{
	size_t i;

	for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (codes[i].signo == fault->signo && codes[i].code == fault->code)
			return codes[i].name;
	switch (fault->code) {
	case SI_USER:
		return "SI_USER";
	case SI_TKILL:
		return "SI_TKILL";
	case SI_QUEUE:
		return "SI_QUEUE";
	case SI_KERNEL:
		return "SI_KERNEL";
	default:
		return NULL;
	}
}

static bool
was_sent(const struct msg_fault *fault)
{
	return fault->code == SI_USER || fault->code == SI_TKILL || fault->code == SI_QUEUE;
}

static const char *
size_text(char *buf, size_t size, int64_t bytes)
{
	if (bytes < 0)
		strlcpy(buf, "unknown", size);
	else
		units_format_size(buf, size, bytes);
	return buf;
}

static void
describe_memory(struct verdict *v)
{
	char most[24], limit[24];

	snprintf(v->text, sizeof(v->text), "killed: out of memory, peak %s of %s cap (%s)",
	    size_text(most, sizeof(most), v->memory.peak), size_text(limit, sizeof(limit), v->cap),
	    memory_backend_name(v->backend));
}

static void
describe_shortage(struct verdict *v)
{
	char most[24], limit[24], used[24], total[24], whose[320];

	const char *how = !WIFSIGNALED(v->status)       ? "ended"
			  : v->backend == MEMORY_RLIMIT ? "killed, as it seems,"
							: "killed";

	size_text(used, sizeof(used), v->memory.used);
	size_text(total, sizeof(total), v->memory.total);
	if (v->memory.who == CAP_SHORT_ABOVE)
		snprintf(whose, sizeof(whose),
		    "the shortage of memory of a cgroup above its own, %.160s: peak %s of %s limit",
		    v->memory.above, used, total);
	else
		snprintf(whose, sizeof(whose),
		    "the machine's shortage of memory: %s of its %s are available after the kill",
		    used, total);
	snprintf(v->text, sizeof(v->text), "%s by %s; its own peak was %s of %s cap (%s)", how,
	    whose, size_text(most, sizeof(most), v->memory.peak),
	    size_text(limit, sizeof(limit), v->cap), memory_backend_name(v->backend));
}

/* What the worker has said of its signal. */
static void
append_fault(char *text, size_t size, const struct msg_fault *fault, int signo)
{
	const char *name = code_name(fault);
	size_t len = strlen(text);

	if (fault->signo != signo)
		return;
	if (was_sent(fault) && fault->itself != 0)
		snprintf(text + len, size - len, ", sent by itself");
	else if (was_sent(fault))
		snprintf(
		    text + len, size - len, ", sent by pid %d of uid %d", fault->pid, fault->uid);
	else if (signo == SIGSYS)
		snprintf(text + len, size - len, ", its filter forbids system call %d",
		    fault->system_call);
	else
		snprintf(text + len, size - len, ", %s at address %#" PRIx64,
		    name != NULL ? name : "fault", fault->address);
}

static void
describe_signal(struct verdict *v)
{
	int signo = WTERMSIG(v->status);

	if (v->killed_for != NULL) {
		snprintf(v->text, sizeof(v->text), "killed by ferryd: %s", v->killed_for);
		return;
	}
	if (signo == SIGKILL) {
		strlcpy(v->text,
		    "killed by SIGKILL, by someone outside; nothing says that memory was short",
		    sizeof(v->text));
		return;
	}
	snprintf(v->text, sizeof(v->text), "killed: signal %d (%s)", signo, strsignal(signo));
	append_fault(v->text, sizeof(v->text), &v->fault, signo);
}

void
verdict_describe(struct verdict *v)
{
	switch (v->cause) {
	case CAUSE_MEMORY:
		describe_memory(v);
		return;
	case CAUSE_SHORTAGE:
		describe_shortage(v);
		return;
	case CAUSE_SIGNAL:
	case CAUSE_US:
		describe_signal(v);
		return;
	case CAUSE_EXIT:
		break;
	}
	snprintf(v->text, sizeof(v->text), "exited: code %d", WEXITSTATUS(v->status));
	if (WEXITSTATUS(v->status) == WORKER_EXIT_REFUSED)
		strlcat(v->text, ", the system gave it no memory though it was below its cap",
		    sizeof(v->text));
}

/*
 * Out of memory is certain in two cases: the kernel killed the process for the limit of the leaf
 * that it alone has lived in, or, if the cap is a limit on the process itself, the worker said so
 * with its exit code.
 */
static enum verdict_cause
cause_of(struct verdict *v, const struct cap *cap)
{
	int code = WIFEXITED(v->status) ? WEXITSTATUS(v->status) : 0;

	if (code == WORKER_EXIT_MEMORY)
		return CAUSE_MEMORY;
	if (code == WORKER_EXIT_REFUSED && cap_machine_refuses(cap, &v->memory))
		return CAUSE_SHORTAGE;
	if (!WIFSIGNALED(v->status))
		return CAUSE_EXIT;
	if (WTERMSIG(v->status) == SIGKILL && v->memory.who == CAP_SHORT_OWN)
		return CAUSE_MEMORY;
	if (v->killed_for != NULL)
		return CAUSE_US;
	if (WTERMSIG(v->status) == SIGKILL && v->memory.who != CAP_SHORT_NONE)
		return CAUSE_SHORTAGE;
	return CAUSE_SIGNAL;
}

void
verdict_judge(struct verdict *v, struct cap *cap, const struct slot *slot, int status,
    const struct rusage *usage)
{
	memset(v, 0, sizeof(*v));
	v->status = status;
	v->killed_for = WIFSIGNALED(status) ? slot->killed_for : NULL;
	v->fault = slot->fault;
	v->backend = cap_backend(cap);
	v->cap = slot->memory;
	v->resident = (int64_t)usage->ru_maxrss * 1024;
	v->kinds = slot->kinds;
	cap_leaf_judge(cap, &slot->leaf, &v->memory);
	if (v->memory.peak < 0)
		v->memory.peak = v->resident;
	v->cause = cause_of(v, cap);
	verdict_describe(v);
}

const char *
verdict_cause_name(const struct verdict *v)
{
	static const char *const names[] = {
		[CAUSE_EXIT] = "exit",
		[CAUSE_SIGNAL] = "signal",
		[CAUSE_US] = "ferryd",
		[CAUSE_MEMORY] = "out_of_memory",
		[CAUSE_SHORTAGE] = "memory_shortage",
	};

	return names[v->cause];
}

static void
add_bytes(struct log_line *line, const char *name, int64_t bytes)
{
	if (bytes >= 0)
		log_int(line, name, bytes);
}

static void
add_kinds(const struct cap_kinds *kinds, struct log_line *line)
{
	if (kinds->at == 0)
		return;
	add_bytes(line, "anon", kinds->anon);
	add_bytes(line, "file", kinds->file);
	add_bytes(line, "shmem", kinds->shmem);
	add_bytes(line, "kernel", kinds->kernel);
	add_bytes(line, "sock", kinds->sock);
	log_int(line, "seen_ms_before", clock_ms() - kinds->at);
}

void
verdict_add_facts(const struct verdict *v, struct log_line *line)
{
	int signo = WIFSIGNALED(v->status) ? WTERMSIG(v->status) : 0;

	if (signo != 0) {
		log_int(line, "signal", signo);
		log_str(line, "code", WCOREDUMP(v->status) ? "CLD_DUMPED" : "CLD_KILLED");
		log_str(line, "core", WCOREDUMP(v->status) ? "dumped" : "none");
	} else {
		log_str(line, "code", "CLD_EXITED");
	}
	if (signo != 0 && v->fault.signo == signo) {
		log_str(line, "si_code", code_name(&v->fault));
		if (v->fault.pc >= 0)
			log_int(line, "pc", v->fault.pc);
	}
	add_bytes(line, "resident", v->resident);
	add_kinds(&v->kinds, line);
}
