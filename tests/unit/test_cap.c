/*
 * Memory caps against prepared directory trees: which backend is chosen, where the leaves are, and
 * which numbers are read from them.  The system tests use the real kernel.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "master/cap/cap.h"
#include "tests/unit/tap.h"

#define PID 4711

static char root[64];

static void
make_dir(const char *path)
{
	char full[512], *slash;

	snprintf(full, sizeof(full), "%s%s", root, path);
	for (slash = full + strlen(root) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
		*slash = '\0';
		mkdir(full, 0755);
		*slash = '/';
	}
	mkdir(full, 0755);
}

static void
make_file(const char *dir, const char *name, const char *text)
{
	char full[512];
	FILE *f;

	make_dir(dir);
	snprintf(full, sizeof(full), "%s%s/%s", root, dir, name);
	f = fopen(full, "w");
	if (f == NULL || fputs(text, f) == EOF || fclose(f) != 0)
		abort();
}

static const char *
content(const char *path)
{
	static char text[256];
	char full[512];
	ssize_t n;
	int fd;

	snprintf(full, sizeof(full), "%s%s", root, path);
	fd = open(full, O_RDONLY);
	n = fd == -1 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd != -1)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static bool
exists(const char *path)
{
	char full[512];

	snprintf(full, sizeof(full), "%s%s", root, path);
	return access(full, F_OK) == 0;
}

static void
new_root(void)
{
	char command[] = "/tmp/test_cap.XXXXXX";

	if (mkdtemp(command) == NULL)
		abort();
	snprintf(root, sizeof(root), "%s", command);
}

static struct cap *
open_cap(enum memory_backend backend, char *why, size_t why_size)
{
	struct cap_wish wish = { root, backend, "ferryd", PID };

	return cap_open(&wish, why, why_size);
}

static void
empty_root(const char *path)
{
	char *argv[] = { (char[]){ "rm" }, (char[]){ "-rf" }, NULL, NULL };
	char copy[64];

	snprintf(copy, sizeof(copy), "%s", path);
	argv[2] = copy;
	if (fork() == 0) {
		execvp("rm", argv);
		_exit(127);
	}
	while (wait(NULL) == -1 && errno == EINTR)
		continue;
}

/* The files that the kernel would put into a new leaf. */
static void
make_leaf1(const char *dir)
{
	make_file(dir, "memory.limit_in_bytes", "-1");
	make_file(dir, "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n");
	make_file(dir, "memory.max_usage_in_bytes", "0\n");
	make_file(dir, "memory.failcnt", "0\n");
	make_file(dir, "cgroup.procs", "");
}

static void
make_leaf2(const char *dir)
{
	make_file(dir, "memory.max", "max");
	make_file(dir, "memory.swap.max", "-");
	make_file(dir, "memory.oom.group", "0");
	make_file(
	    dir, "memory.events", "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n");
	make_file(dir, "memory.peak", "0\n");
	make_file(dir, "cgroup.procs", "");
}

static void
with_v1(void)
{
	new_root();
	make_file("/proc/self", "mountinfo",
	    "31 23 0:28 / /cg rw - tmpfs tmpfs rw\n"
	    "36 31 0:33 / /cg/devices rw shared:5 - cgroup cgroup rw,devices\n"
	    "35 31 0:32 / /cg/my\\040memory rw shared:4 - cgroup cgroup rw,memory\n"
	    "41 31 0:38 / /cg/unified rw - cgroup2 cgroup2 rw\n");
	make_file("/proc/self", "cgroup", "5:devices:/\n4:memory:/outer/inner\n0::/\n");
	make_file("/cg/unified", "cgroup.controllers", "");
	make_file("/proc", "meminfo",
	    "MemTotal:       24000 kB\nMemFree:    5 kB\nMemAvailable:   1000 kB\n");
	make_file("/cg/my memory/outer", "memory.limit_in_bytes", "100000000\n");
	make_file("/cg/my memory/outer", "memory.max_usage_in_bytes", "99999744\n");
	make_file("/cg/my memory/outer", "memory.failcnt", "11\n");
	make_leaf1("/cg/my memory/outer/inner/ferryd/4711.0.0");
}

static void
test_v1(void)
{
	struct cap_leaf leaf;
	struct cap *cap;
	char why[3000], dir[128], proc[32];
	struct cap_verdict v;

	with_v1();
	make_dir("/cg/my memory/outer/inner/ferryd/999999999.1.1");
	make_file("/cg/my memory/outer/inner/ferryd/999999999.1.2", "busy", "");
	make_dir("/cg/my memory/outer/inner/ferryd/1.1.1");
	snprintf(dir, sizeof(dir), "/cg/my memory/outer/inner/ferryd/%d.1.1", (int)getpid());
	make_dir(dir);
	snprintf(proc, sizeof(proc), "/proc/%d", (int)getpid());
	make_file(proc, "stat", "1 (ferryd) R) Z 1 1");
	make_leaf1("/cg/my memory/outer/inner/ferryd/4711.3.7");
	cap = open_cap(MEMORY_AUTO, why, sizeof(why));
	if (!ok(cap != NULL, "auto opens on a machine with the v1 controller"))
		return;
	is_int(cap_backend(cap), MEMORY_CGROUP1, "it takes cgroup v1");
	is_str(why, "cgroup v2 has no memory controller", "and says why not v2");
	ok(!exists("/cg/my memory/outer/inner/ferryd/999999999.1.1"),
	    "the leaf of a dead master is removed");
	ok(!exists(dir), "the leaf of a zombie is removed");
	ok(exists("/cg/my memory/outer/inner/ferryd/1.1.1"), "that of a living one is not");

	ok(cap_deadline(cap) != 0, "a leaf that cannot be removed yet is tried again");
	snprintf(why, sizeof(why), "%s/cg/my memory/outer/inner/ferryd/999999999.1.2/busy", root);
	unlink(why);
	usleep(150000);
	cap_run(cap);
	ok(!exists("/cg/my memory/outer/inner/ferryd/999999999.1.2"), "and goes then");

	is_int(cap_leaf_create(cap, 3, 7, 64 << 20, &leaf), 0, "a leaf is made");
	is_str(content("/cg/my memory/outer/inner/ferryd/4711.3.7/memory.limit_in_bytes"),
	    "67108864", "its limit is written");
	ok(strstr(leaf.peak_file, "/4711.3.7/memory.max_usage_in_bytes") != NULL,
	    "the peak is found");
	ok(leaf.procs != -1 && (fcntl(leaf.procs, F_GETFD) & FD_CLOEXEC),
	    "cgroup.procs is open, close-on-exec");
	make_file("/cg/my memory/outer/inner/ferryd/4711.3.7", "memory.oom_control",
	    "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
	make_file(
	    "/cg/my memory/outer/inner/ferryd/4711.3.7", "memory.max_usage_in_bytes", "67108864\n");
	cap_leaf_judge(cap, &leaf, &v);
	is_int(
	    v.who, CAP_SHORT_MACHINE, "a kill is not the leaf's fault if it never hit its limit");
	is_int(v.total, 24000 * 1024, "then the machine's figures are read");
	is_int(v.used, 1000 * 1024, "both of them");
	make_file("/cg/my memory/outer", "memory.failcnt", "12\n");
	cap_leaf_judge(cap, &leaf, &v);
	is_int(v.who, CAP_SHORT_ABOVE, "nor if a cgroup above it has hit its limit");
	is_str(v.above, "/outer", "which is named");
	is_int(v.used, 99999744, "with its peak");
	is_int(v.total, 100000000, "and its limit");
	make_file("/cg/my memory/outer/inner/ferryd/4711.3.7", "memory.failcnt", "3\n");
	cap_leaf_judge(cap, &leaf, &v);
	is_int(v.who, CAP_SHORT_OWN, "it is if the leaf has hit its own");
	is_int(v.peak, 67108864, "the peak is read");
	cap_leaf_remove(cap, &leaf);
	is_int(leaf.procs, -1, "the way in is closed");
	is_str(leaf.dir, "", "the leaf is forgotten");
	ok(cap_deadline(cap) != 0, "its directory, which has files here, is for another try");

	make_leaf1("/cg/my memory/outer/inner/ferryd/4711.1.8");
	make_file(
	    "/cg/my memory/outer/inner/ferryd/4711.1.8", "memory.oom_control", "oom_kill 5\n");
	is_int(cap_leaf_create(cap, 1, 8, 64 << 20, &leaf), 0,
	    "a leaf that is there already is taken");
	cap_leaf_judge(cap, &leaf, &v);
	is_int(v.who, CAP_SHORT_NONE, "kills of an earlier process do not count");
	cap_leaf_close(&leaf);
	is_int(
	    cap_leaf_create(cap, 1, 9, 64 << 20, &leaf), -1, "a leaf without a limit file fails");
	is_int(errno, ENOENT, "with the reason");
	ok(!exists("/cg/my memory/outer/inner/ferryd/4711.1.9"), "and is not left behind");
	cap_close(cap);
	empty_root(root);
}

static void
test_v1_in_container(void)
{
	struct cap *cap;
	char why[3000];

	new_root();
	make_file("/proc/self", "mountinfo",
	    "35 31 0:32 /docker/abc /cg/memory rw - cgroup cgroup rw,memory\n");
	make_file("/proc/self", "cgroup", "4:memory:/docker/abc/sub\n");
	make_leaf1("/cg/memory/sub/ferryd/4711.0.0");
	cap = open_cap(MEMORY_CGROUP1, why, sizeof(why));
	ok(cap != NULL, "below a mount of a part of the hierarchy, the path is what is left of it");
	cap_close(cap);
	empty_root(root);
}

/* A machine with v2.  We are in the cgroup own, which has those controllers. */
static void
with_v2(const char *own, const char *controllers)
{
	char dir[256];

	new_root();
	make_file(
	    "/proc/self", "mountinfo", "24 1 0:21 / /cg rw - cgroup2 cgroup2 rw,nsdelegate\n");
	snprintf(dir, sizeof(dir), "0::%s\n", own);
	make_file("/proc/self", "cgroup", dir);
	make_file("/cg", "cgroup.controllers", "cpu memory pids\n");
	make_file("/cg", "cgroup.subtree_control", "memory\n");
	snprintf(dir, sizeof(dir), "/cg%s", own);
	make_file(dir, "cgroup.controllers", controllers);
	make_file(dir, "cgroup.subtree_control", strcmp(own, "/") == 0 ? "memory" : "");
	make_file(dir, "cgroup.procs", "");
}

/* A kill that is not the leaf's fault, and the leaf's memory by kind. */
static void
test_v2_others(struct cap *cap, const struct cap_leaf *leaf)
{
	struct cap_kinds kinds = { .at = 0 };
	struct cap_verdict v;

	make_file("/cg/system.slice/ferryd.service/4711.2.5", "memory.events",
	    "max 9\noom 0\noom_kill 1\n");
	cap_leaf_judge(cap, leaf, &v);
	is_int(v.who, CAP_SHORT_MACHINE, "a kill without an OOM of a cgroup is the machine's");
	make_file("/cg/system.slice", "memory.events.local", "max 3\noom 1\noom_kill 0\n");
	make_file("/cg/system.slice", "memory.max", "104857600\n");
	make_file("/cg/system.slice", "memory.peak", "104857600\n");
	cap_leaf_judge(cap, leaf, &v);
	is_int(v.who, CAP_SHORT_ABOVE, "with an OOM of one above, it is that one's");
	is_str(v.above, "/system.slice", "which is named");
	is_int(v.total, 104857600, "with its limit");
	make_file("/cg/system.slice/ferryd.service/4711.2.5", "memory.current", "40000000\n");
	cap_leaf_look(cap, leaf, 64 << 20, &kinds);
	is_int(kinds.at, 0, "the memory of a leaf that is far from its limit is not looked at");
	make_file("/cg/system.slice/ferryd.service/4711.2.5", "memory.current", "60000000\n");
	make_file("/cg/system.slice/ferryd.service/4711.2.5", "memory.stat",
	    "anon 50000000\nfile 9000000\nkernel 700000\nsock 4096\nshmem 0\nfile_mapped 5\n");
	cap_leaf_look(cap, leaf, 64 << 20, &kinds);
	ok(kinds.at != 0 && kinds.anon == 50000000 && kinds.file == 9000000 &&
		kinds.kernel == 700000 && kinds.sock == 4096 && kinds.shmem == 0,
	    "near its limit it is");
}

static void
test_v2_delegated(void)
{
	struct cap_leaf leaf;
	struct cap *cap;
	char why[3000];
	struct cap_verdict v;

	with_v2("/system.slice/ferryd.service", "memory pids\n");
	make_file("/cg/system.slice/ferryd.service/master", "cgroup.procs", "");
	make_leaf2("/cg/system.slice/ferryd.service/4711.0.0");
	make_leaf2("/cg/system.slice/ferryd.service/4711.2.5");
	cap = open_cap(MEMORY_AUTO, why, sizeof(why));
	if (!ok(cap != NULL, "auto opens in a delegated cgroup: %s", why))
		return;
	is_int(cap_backend(cap), MEMORY_CGROUP2, "it takes cgroup v2");
	is_str(why, "", "and has nothing to explain");
	is_str(content("/cg/system.slice/ferryd.service/master/cgroup.procs"), "4711",
	    "the master moves into a child");
	is_str(content("/cg/system.slice/ferryd.service/cgroup.subtree_control"), "+memory",
	    "then memory is handed down");
	is_int(cap_leaf_create(cap, 2, 5, 64 << 20, &leaf), 0, "a leaf is made beside it");
	is_str(content("/cg/system.slice/ferryd.service/4711.2.5/memory.max"), "67108864",
	    "with its limit");
	is_str(content("/cg/system.slice/ferryd.service/4711.2.5/memory.swap.max"), "0",
	    "without swap");
	is_str(content("/cg/system.slice/ferryd.service/4711.2.5/memory.oom.group"), "1",
	    "killed as a whole");
	make_file("/cg/system.slice/ferryd.service/4711.2.5", "memory.events",
	    "oom 3\noom_kill 1\noom_group_kill 1\n");
	make_file("/cg/system.slice/ferryd.service/4711.2.5", "memory.peak", "67108864\n");
	cap_leaf_judge(cap, &leaf, &v);
	is_int(v.who, CAP_SHORT_OWN, "the leaf's own OOM has killed");
	is_int(v.peak, 67108864, "the peak is read");
	test_v2_others(cap, &leaf);
	cap_leaf_remove(cap, &leaf);

	make_leaf2("/cg/system.slice/ferryd.service/4711.2.6");
	snprintf(why, sizeof(why), "%s/cg/system.slice/ferryd.service/4711.2.6/memory.peak", root);
	unlink(why);
	snprintf(
	    why, sizeof(why), "%s/cg/system.slice/ferryd.service/4711.2.6/memory.swap.max", root);
	unlink(why);
	is_int(cap_leaf_create(cap, 2, 6, 64 << 20, &leaf), 0,
	    "kernels without swap accounting are fine");
	is_str(leaf.peak_file, "", "those without a peak name no file for it");
	cap_leaf_judge(cap, &leaf, &v);
	is_int(v.peak, -1, "and the peak is unknown");
	cap_leaf_close(&leaf);
	cap_close(cap);
	empty_root(root);
}

static void
test_v2_restarted(void)
{
	struct cap *cap;
	char why[3000];

	with_v2("/system.slice/ferryd.service/master", "memory\n");
	make_file("/cg/system.slice/ferryd.service", "cgroup.controllers", "memory\n");
	make_file("/cg/system.slice/ferryd.service", "cgroup.subtree_control", "memory\n");
	make_leaf2("/cg/system.slice/ferryd.service/4711.0.0");
	cap = open_cap(MEMORY_CGROUP2, why, sizeof(why));
	ok(cap != NULL, "in a child \"master\" already, the base is its parent: %s", why);
	ok(!exists("/cg/system.slice/ferryd.service/master/master"),
	    "and no child of the child is made");
	cap_close(cap);
	empty_root(root);
}

static void
test_v2_top(void)
{
	struct cap *cap;
	char why[3000];

	with_v2("/", "memory\n");
	make_file("/cg/ferryd/master", "cgroup.procs", "");
	make_file("/cg/ferryd", "cgroup.subtree_control", "");
	make_leaf2("/cg/ferryd/4711.0.0");
	cap = open_cap(MEMORY_AUTO, why, sizeof(why));
	ok(cap != NULL && cap_backend(cap) == MEMORY_CGROUP2,
	    "from the top, a cgroup of ours is made there: %s", why);
	is_str(content("/cg/ferryd/cgroup.subtree_control"), "+memory", "and hands memory down");
	cap_close(cap);
	empty_root(root);
}

static void
test_rlimit(void)
{
	struct cap_leaf leaf;
	struct cap *cap;
	char why[3000];
	struct cap_verdict v;

	new_root();
	make_file("/proc/self", "mountinfo", "22 1 0:20 / /proc rw - proc proc rw\n");
	make_file("/proc/self", "cgroup", "0::/\n");
	cap = open_cap(MEMORY_AUTO, why, sizeof(why));
	if (!ok(cap != NULL, "auto opens without any cgroup"))
		return;
	is_int(cap_backend(cap), MEMORY_RLIMIT, "it takes rlimit");
	is_str(why, "cgroup v2 is not mounted; cgroup v1 has no memory controller mounted",
	    "and says why nothing better");
	is_int(cap_leaf_create(cap, 1, 1, 64 << 20, &leaf), 0, "its leaves are nothing");
	is_int(leaf.procs, -1, "with no way in");
	cap_leaf_judge(cap, &leaf, &v);
	is_int(v.who, CAP_SHORT_NONE, "that count nothing");
	is_int(v.peak, -1, "and know no peak");
	make_file("/proc", "vmstat", "pgfault 7\noom_kill 1\n");
	cap_leaf_judge(cap, &leaf, &v);
	is_int(v.who, CAP_SHORT_MACHINE, "and yet a kill on this machine is seen");
	ok(!cap_machine_refuses(cap, &v), "a machine that overcommits refuses nothing");
	make_file("/proc/sys/vm", "overcommit_memory", "2\n");
	ok(cap_machine_refuses(cap, &v), "one that does not may");
	cap_leaf_remove(cap, &leaf);
	is_int(cap_deadline(cap), 0, "nothing to remove later");
	cap_close(cap);
	ok(open_cap(MEMORY_CGROUP1, why, sizeof(why)) == NULL,
	    "v1 is refused where it was asked for");
	is_str(why, "cgroup v1 has no memory controller mounted", "with the reason");
	ok(open_cap(MEMORY_CGROUP2, why, sizeof(why)) == NULL, "so is v2");
	is_str(why, "cgroup v2 is not mounted", "with the reason");
	empty_root(root);
}

int
main(void)
{
	test_v1();
	test_v1_in_container();
	test_v2_delegated();
	test_v2_restarted();
	test_v2_top();
	test_rlimit();
	return done_testing();
}
