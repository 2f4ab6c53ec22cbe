#include "master/exporter/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/log.h"

/* The leak check of the sanitizers makes a process, which attaches to ours. */
#ifdef __SANITIZE_ADDRESS__
#define IS_TRACED true
#endif
#ifdef __has_feature
#if __has_feature(address_sanitizer) && !defined(IS_TRACED)
#define IS_TRACED true
#endif
#endif
#ifndef IS_TRACED
#define IS_TRACED false
#endif

/* Of later kernels than the headers that we are built with: landlock(7). */
#define FS_REFER (1ULL << 13) /* ABI 2 */
#define FS_TRUNCATE (1ULL << 14) /* ABI 3 */
#define NET_BIND_TCP (1ULL << 0) /* ABI 4 */
#define SCOPE_SIGNAL (1ULL << 1) /* ABI 6 */

/* The kernel's struct landlock_ruleset_attr; a kernel that knows less of it takes its begin. */
struct ruleset {
	uint64_t fs;
	uint64_t net;
	uint64_t scoped;
};

/* Everything but reading is refused everywhere, since no rule allows it. */
static struct ruleset
handled(int abi, size_t *size)
{
	const uint64_t reading = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
	struct ruleset r = { .fs = (FS_REFER - 1) & ~reading };

	*size = sizeof(r.fs);
	if (abi >= 2)
		r.fs |= FS_REFER;
	if (abi >= 3)
		r.fs |= FS_TRUNCATE;
	if (abi >= 4) {
		r.net = NET_BIND_TCP;
		*size = offsetof(struct ruleset, scoped);
	}
	if (abi >= 6) {
		r.scoped = SCOPE_SIGNAL;
		*size = sizeof(r);
	}
	return r;
}

static void
restrict_files(void)
{
	int abi =
	    (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct ruleset rules;
	size_t size;
	int fd;

	if (abi < 1)
		return;
	rules = handled(abi, &size);
	fd = (int)syscall(SYS_landlock_create_ruleset, &rules, size, 0);
	if (fd == -1 || syscall(SYS_landlock_restrict_self, fd, 0) == -1)
		fatal(EX_OSERR, "Landlock: %s", strerror(errno));
	close(fd);
}

/* What neither libmicrohttpd nor libpq nor the C library's resolver needs. */
static const char *const hostile[] = { "acct", "add_key", "bpf", "capset", "chroot",
	"delete_module", "execve", "execveat", "finit_module", "fork", "init_module",
	"io_uring_setup", "kexec_file_load", "kexec_load", "keyctl", "kill", "mknod", "mknodat",
	"mount", "mount_setattr", "move_mount", "name_to_handle_at", "open_by_handle_at",
	"open_tree", "fsopen", "perf_event_open", "personality", "pidfd_getfd", "pidfd_open",
	"pidfd_send_signal", "pivot_root", "process_madvise", "process_vm_readv",
	"process_vm_writev", "ptrace", "reboot", "request_key", "setfsgid", "setfsuid", "setgid",
	"setgroups", "setns", "setregid", "setresgid", "setresuid", "setreuid", "setuid",
	"settimeofday", "swapoff", "swapon", "symlink", "symlinkat", "umount2", "unshare",
	"userfaultfd", "vfork" };

/* Adds a rule for a system call, unless this architecture does not have it. */
static void
forbid(scmp_filter_ctx ctx, uint32_t action, const char *name)
{
	int number = seccomp_syscall_resolve_name(name), rc;

	if (number == __NR_SCMP_ERROR || number < 0)
		return;
	rc = seccomp_rule_add(ctx, action, number, 0);
	if (rc < 0)
		fatal(EX_OSERR, "seccomp: a rule for %s: %s", name, strerror(-rc));
}

/*
 * Threads stay allowed, in which libpq's names are resolved.  clone3() hides its flags from a
 * filter, and the C library goes on with clone() when there is no clone3().
 */
static void
restrict_calls(void)
{
	const struct scmp_arg_cmp no_thread = SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0);
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	size_t i;
	int rc;

	if (ctx == NULL)
		fatal(EX_OSERR, "seccomp: no filter can be made");
	for (i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++)
		forbid(ctx, SCMP_ACT_KILL_PROCESS, hostile[i]);
	forbid(ctx, SCMP_ACT_ERRNO(ENOSYS), "clone3");
	rc = seccomp_rule_add_array(ctx, SCMP_ACT_KILL_PROCESS, SCMP_SYS(clone), 1, &no_thread);
	if (rc == 0)
		rc = seccomp_load(ctx);
	if (rc < 0 && rc != -EINVAL && rc != -ENOSYS)
		fatal(EX_OSERR, "seccomp: %s", strerror(-rc));
	seccomp_release(ctx);
}

void
confine_exporter(void)
{
	restrict_files();
	if (!IS_TRACED)
		restrict_calls();
}
