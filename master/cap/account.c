/*
 * Who was short of memory when the kernel killed a worker, from the counts of its leaf and of the
 * cgroups above the leaf; and of which kinds the leaf's memory is.
 *
 * In both versions "oom_kill" counts a leaf's processes that the kernel killed for whatever
 * shortage.  Whether it was the leaf's own: in v2 "oom" of memory.events is raised in the cgroup
 * whose limit was hit, and in those above it, never below.  v1 has no such count, and failcnt also
 * rises when reclaiming the page cache was enough.  But v1 notifies a cgroup of its own OOMs and of
 * those above it: what a leaf was notified of and the cgroup above it was not, was the leaf's own.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "master/cap/private.h"

/* A leaf with less memory than this part of its limit is not near it. */
#define NEAR(limit) ((limit) / 4 * 3)

/* v1 says "no limit" by a number near INT64_MAX, rounded to pages. */
#define NO_LIMIT ((int64_t)1 << 60)

/* Cuts the last component off.  Returns false at the mount, above which we see nothing. */
static bool
go_up(const struct cap *cap, char *dir)
{
	char *slash = strrchr(dir, '/');

	if (slash == NULL || strcmp(dir, cap->mount) == 0)
		return false;
	*slash = '\0';
	return true;
}

int64_t
cap_take_count(int fd)
{
	uint64_t count;

	return fd != -1 && read(fd, &count, sizeof(count)) == (ssize_t)sizeof(count)
		   ? (int64_t)count
		   : 0;
}

static int64_t
known(int64_t n)
{
	return n < 0 ? 0 : n;
}

void
cap_count(const struct cap *cap, const char *leaf, struct cap_counts *counts)
{
	char dir[CONFIG_PATH_MAX], proc[CONFIG_PATH_MAX];
	const struct cap_files *files = cap->files;
	int level;

	memset(counts, 0, sizeof(*counts));
	if (files == NULL) {
		if (cap_path(proc, sizeof(proc), "%s/proc", cap->root) == 0)
			counts->kills = known(cap_read_number(proc, "vmstat", "oom_kill"));
		return;
	}
	counts->kills = known(cap_read_number(leaf, files->events, "oom_kill"));
	counts->own = known(cap_read_number(leaf, files->own, files->count_line));
	strlcpy(dir, cap->base, sizeof(dir));
	for (level = 0; level < CAP_LEVELS; level++) {
		counts->above[level] = known(cap_read_number(dir, files->above, files->count_line));
		if (!go_up(cap, dir))
			return;
	}
}

/* Whether the leaf's own limit made the kernel kill. */
static bool
was_own(const struct cap *cap, const struct cap_leaf *leaf, const struct cap_counts *now)
{
	if (leaf->ooms == -1 || cap->ooms == -1)
		return now->own > leaf->before.own;
	return cap_take_count(leaf->ooms) > cap->ooms_above - leaf->ooms_above;
}

/* Finds the nearest cgroup above whose limit was hit.  Returns whether there is one. */
static bool
find_above(const struct cap *cap, const struct cap_leaf *leaf, const struct cap_counts *now,
    struct cap_verdict *v)
{
	char dir[CONFIG_PATH_MAX];
	int level;

	strlcpy(dir, cap->base, sizeof(dir));
	for (level = 0; level < CAP_LEVELS; level++) {
		if (now->above[level] > leaf->before.above[level]) {
			v->total = cap_read_number(dir, cap->files->limit, NULL);
			v->used = cap_read_number(dir, cap->files->peak, NULL);
			strlcpy(v->above, dir + strlen(cap->mount), sizeof(v->above));
			if (v->total >= 0 && v->total < NO_LIMIT)
				return true;
		}
		if (!go_up(cap, dir))
			break;
	}
	return false;
}

static void
blame_machine(const struct cap *cap, struct cap_verdict *v)
{
	char proc[CONFIG_PATH_MAX];

	v->who = CAP_SHORT_MACHINE;
	v->above[0] = '\0';
	v->used = v->total = -1;
	if (cap_path(proc, sizeof(proc), "%s/proc", cap->root) == -1)
		return;
	v->used = cap_read_number(proc, "meminfo", "MemAvailable");
	v->total = cap_read_number(proc, "meminfo", "MemTotal");
	v->used = v->used < 0 ? -1 : v->used * 1024;
	v->total = v->total < 0 ? -1 : v->total * 1024;
}

void
cap_leaf_judge(struct cap *cap, const struct cap_leaf *leaf, struct cap_verdict *v)
{
	struct cap_counts now;
	bool above;

	memset(v, 0, sizeof(*v));
	v->peak = -1;
	if (cap->files != NULL)
		v->peak = cap_read_number(leaf->dir, cap->files->peak, NULL);
	cap_count(cap, leaf->dir, &now);
	if (now.kills <= leaf->before.kills)
		return;
	if (cap->files == NULL) {
		blame_machine(cap, v);
		return;
	}
	cap->ooms_above += cap_take_count(cap->ooms);
	above = find_above(cap, leaf, &now, v);
	if (was_own(cap, leaf, &now))
		v->who = CAP_SHORT_OWN;
	else if (above && (cap->ooms == -1 || cap->ooms_above > leaf->ooms_above))
		v->who = CAP_SHORT_ABOVE;
	else
		blame_machine(cap, v);
}

bool
cap_machine_refuses(const struct cap *cap, struct cap_verdict *v)
{
	char proc[CONFIG_PATH_MAX];

	if (cap_path(proc, sizeof(proc), "%s/proc/sys/vm", cap->root) == -1 ||
	    cap_read_number(proc, "overcommit_memory", NULL) != 2)
		return false;
	blame_machine(cap, v);
	return true;
}

void
cap_leaf_look(
    const struct cap *cap, const struct cap_leaf *leaf, int64_t limit, struct cap_kinds *kinds)
{
	const struct cap_files *files = cap->files;

	if (files == NULL || leaf->dir[0] == '\0' ||
	    cap_read_number(leaf->dir, files->usage, NULL) < NEAR(limit))
		return;
	kinds->at = clock_ms();
	kinds->anon = cap_read_number(leaf->dir, "memory.stat", files->kinds.anon);
	kinds->file = cap_read_number(leaf->dir, "memory.stat", files->kinds.file);
	kinds->shmem = cap_read_number(leaf->dir, "memory.stat", "shmem");
	if (files->backend == MEMORY_CGROUP1) {
		kinds->kernel = cap_read_number(leaf->dir, files->kinds.kernel, NULL);
		kinds->sock = cap_read_number(leaf->dir, files->kinds.sock, NULL);
	} else {
		kinds->kernel = cap_read_number(leaf->dir, "memory.stat", files->kinds.kernel);
		kinds->sock = cap_read_number(leaf->dir, "memory.stat", files->kinds.sock);
	}
}

void
cap_leaf_usage(
    const struct cap *cap, const struct cap_leaf *leaf, pid_t pid, int64_t *now, int64_t *peak)
{
	char proc[CONFIG_PATH_MAX];

	*now = *peak = -1;
	if (cap->files != NULL && leaf->dir[0] != '\0') {
		*now = cap_read_number(leaf->dir, cap->files->usage, NULL);
		*peak = cap_read_number(leaf->dir, cap->files->peak, NULL);
	} else if (cap_path(proc, sizeof(proc), "%s/proc/%d", cap->root, (int)pid) == 0) {
		/* what RLIMIT_DATA counts, in KiB; the kernel keeps no peak of it */
		*now = cap_read_number(proc, "status", "VmData:");
		*now = *now < 0 ? -1 : *now * 1024;
	}
}

/* Kernels before 5.14 have no cgroup.kill, and v1 has none at all. */
static void
kill_each(const char *dir)
{
	char list[8192], *at, *rest = list, *end;
	long pid;

	if (cap_read(dir, "cgroup.procs", list, sizeof(list)) == -1)
		return;
	while ((at = strsep(&rest, "\n")) != NULL) {
		errno = 0;
		pid = strtol(at, &end, 10);
		if (errno == 0 && end != at && *end == '\0' && pid > 1)
			kill((pid_t)pid, SIGKILL);
	}
}

void
cap_kill(const char *dir)
{
	if (cap_write(dir, "cgroup.kill", "1") == -1)
		kill_each(dir);
}
