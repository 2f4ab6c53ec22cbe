#include "worker/filter.h"

#include <errno.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/log.h"
#include "worker/confine.h"

#ifdef CONFINE_TRACED
#define IS_TRACED true
#else
#define IS_TRACED false
#endif

/*
 * What the engine, libcurl, libpq, libcrypto and the C library's allocator, threads and resolver
 * need.  Most of it is for file stores and sockets.
 */
static const char *const allowed[] = {
	/* files */
	"access", "close", "close_range", "copy_file_range", "dup", "dup2", "dup3", "faccessat",
	"faccessat2", "fadvise64", "fallocate", "fchmod", "fchmodat", "fchown", "fchownat", "fcntl",
	"fdatasync", "flock", "fstat", "fstatfs", "fsync", "ftruncate", "getcwd", "getdents64",
	"ioctl", "link", "linkat", "lseek", "lstat", "mkdir", "mkdirat", "newfstatat", "open",
	"openat", "openat2", "pread64", "preadv", "pwrite64", "pwritev", "read", "readlink",
	"readlinkat", "readv", "rename", "renameat", "renameat2", "sendfile", "splice", "stat",
	"statfs", "statx", "sync_file_range", "umask", "unlink", "unlinkat", "write", "writev",
	/* waiting */
	"epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_wait", "eventfd2", "pipe", "pipe2",
	"poll", "ppoll", "pselect6", "select",
	/* sockets; socket() itself has conditions */
	"bind", "connect", "getpeername", "getsockname", "getsockopt", "recvfrom", "recvmmsg",
	"recvmsg", "sendmmsg", "sendmsg", "sendto", "setsockopt", "shutdown", "socketpair",
	/* memory */
	"brk", "madvise", "membarrier", "mincore", "mmap", "mprotect", "mremap", "munmap",
	/* threads and the process itself; clone(), prctl() and tgkill() have conditions */
	"exit", "exit_group", "futex", "getegid", "geteuid", "getgid", "getgroups", "getpid",
	"getppid", "getrandom", "getrlimit", "getrusage", "gettid", "getuid", "restart_syscall",
	"rseq", "sched_getaffinity", "sched_yield", "set_robust_list", "set_tid_address", "sysinfo",
	"times", "uname",
	/* signals and time */
	"alarm", "clock_getres", "clock_gettime", "clock_nanosleep", "getitimer", "gettimeofday",
	"nanosleep", "rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigreturn",
	"rt_sigtimedwait", "setitimer", "sigaltstack", "time", NULL
};

/* What only an intruder needs. */
static const char *const hostile[] = {
	/* other programs and processes */
	"execve", "execveat", "fork", "kill", "pidfd_getfd", "pidfd_open", "pidfd_send_signal",
	"process_madvise", "process_vm_readv", "process_vm_writev", "ptrace", "rt_sigqueueinfo",
	"rt_tgsigqueueinfo", "tkill", "vfork",
	/* accounts and limits */
	"capset", "setfsgid", "setfsuid", "setgid", "setgroups", "setns", "setregid", "setresgid",
	"setresuid", "setreuid", "setrlimit", "setuid", "unshare",
	/* the machine */
	"add_key", "bpf", "chroot", "delete_module", "finit_module", "init_module",
	"io_uring_setup", "kexec_file_load", "kexec_load", "keyctl", "mknod", "mknodat", "mount",
	"mount_setattr", "move_mount", "name_to_handle_at", "open_by_handle_at", "open_tree",
	"fsopen", "perf_event_open", "personality", "pivot_root", "reboot", "request_key",
	"settimeofday", "swapoff", "swapon", "symlink", "symlinkat", "umount2", "userfaultfd", NULL
};

/* Adds a rule for a system call, unless this architecture does not have it. */
static void
add(scmp_filter_ctx ctx, uint32_t action, const char *name)
{
	int number = seccomp_syscall_resolve_name(name), rc;

	if (number == __NR_SCMP_ERROR || number < 0)
		return;
	rc = seccomp_rule_add(ctx, action, number, 0);
	if (rc < 0)
		fatal(EX_OSERR, "seccomp: a rule for %s: %s", name, strerror(-rc));
}

/* Allows a system call if its argument of that number, masked, has the value. */
static void
allow_if(scmp_filter_ctx ctx, int number, unsigned argument, uint64_t mask, uint64_t value)
{
	struct scmp_arg_cmp is = SCMP_CMP64(argument, SCMP_CMP_MASKED_EQ, mask, value);
	int rc = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, number, 1, &is);

	if (rc < 0)
		fatal(EX_OSERR, "seccomp: a rule with a condition: %s", strerror(-rc));
}

/* Kernel and C library agree on 32 bits of an int; the upper half of the register is not looked at.
 */
#define INT_MASK 0xffffffffU

static void
add_conditions(scmp_filter_ctx ctx)
{
	static const int families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK };
	static const int options[] = { PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE };
	size_t i;

	for (i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		allow_if(ctx, SCMP_SYS(socket), 0, INT_MASK, (uint64_t)families[i]);
	for (i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		allow_if(ctx, SCMP_SYS(prctl), 0, INT_MASK, (uint64_t)options[i]);
	/* threads, for names to be resolved; clone3() hides its flags from a filter, and the C
	 * library goes on with clone() when there is no clone3() */
	allow_if(ctx, SCMP_SYS(clone), 0, CLONE_THREAD, CLONE_THREAD);
	/* a process may signal itself, and look at its own limits */
	allow_if(ctx, SCMP_SYS(tgkill), 0, INT_MASK, (uint64_t)getpid());
	allow_if(ctx, SCMP_SYS(prlimit64), 0, INT_MASK, 0);
}

void
filter_install(void)
{
	scmp_filter_ctx ctx;
	size_t i;
	int rc;

	if (IS_TRACED)
		return;
	ctx = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	if (ctx == NULL)
		fatal(EX_OSERR, "seccomp: no filter can be made");
	for (i = 0; allowed[i] != NULL; i++)
		add(ctx, SCMP_ACT_ALLOW, allowed[i]);
	for (i = 0; hostile[i] != NULL; i++)
		add(ctx, SCMP_ACT_TRAP, hostile[i]);
	add_conditions(ctx);
	/* a tree instead of a list, so that the frequent calls cost the same as the first */
	seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	rc = seccomp_load(ctx);
	if (rc < 0 && rc != -EINVAL && rc != -ENOSYS)
		fatal(EX_OSERR, "seccomp: %s", strerror(-rc));
	seccomp_release(ctx);
}
