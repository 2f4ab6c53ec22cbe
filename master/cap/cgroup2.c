/*
 * Memory caps by cgroup v2.  A cgroup that hands the memory controller to its children can't have
 * processes of its own.  So the master first moves into a child "master" of the base; the leaves of
 * its workers are neighbours of that child.
 *
 * The base is our own cgroup if it was delegated to us (systemd's Delegate=yes), else a cgroup at
 * the top.
 */
#include "master/cap/private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const struct cap_files cap_cgroup2_files = {
	.backend = MEMORY_CGROUP2,
	.limit = "memory.max",
	.usage = "memory.current",
	.events = "memory.events",
	.peak = "memory.peak",
	.own = "memory.events",
	.above = "memory.events.local",
	.count_line = "oom",
	.kinds = {
		.anon = "anon",
		.file = "file",
		.kernel = "kernel",
		.sock = "sock",
	},
	.settings = {
		{ "memory.swap.max", "0", true },
		{ "memory.oom.group", "1", true },
	},
};

static bool
has_memory(const char *dir, const char *file)
{
	char list[1024];

	return cap_read(dir, file, list, sizeof(list)) == 0 && cap_has_word(list, " \n", "memory");
}

/*
 * Makes base/master, moves us there, and hands the memory controller to base's children.  Undoes
 * the move on failure.
 */
static int
move_in(struct cap *cap, const char *base, const char *own)
{
	char pid[16];
	int saved;

	if (cap_path(cap->base, sizeof(cap->base), "%s", base) == -1 ||
	    cap_path(cap->master, sizeof(cap->master), "%s/master", base) == -1)
		return -1;
	if (mkdir(cap->master, 0755) == -1 && errno != EEXIST)
		return -1;
	snprintf(pid, sizeof(pid), "%d", (int)cap->pid);
	if (cap_write(cap->master, "cgroup.procs", pid) == -1)
		goto err1;
	if (!has_memory(base, "cgroup.subtree_control") &&
	    cap_write(base, "cgroup.subtree_control", "+memory") == -1)
		goto err2;
	strlcpy(cap->home, own, sizeof(cap->home));
	return 0;

err2:
	saved = errno;
	if (cap_write(own, "cgroup.procs", pid) == -1)
		strlcpy(cap->home, cap->master, sizeof(cap->home));
	errno = saved;
err1:
	saved = errno;
	rmdir(cap->master);
	cap->master[0] = '\0';
	errno = saved;
	return -1;
}

/* At the top of the hierarchy only root can make a cgroup. */
static int
move_in_at_top(struct cap *cap, const char *mount, const char *own, const char *name)
{
	char base[CONFIG_PATH_MAX];

	if (cap_path(base, sizeof(base), "%s/%s", mount, name) == -1)
		return -1;
	if (!has_memory(mount, "cgroup.subtree_control") &&
	    cap_write(mount, "cgroup.subtree_control", "+memory") == -1)
		return -1;
	if (mkdir(base, 0755) == -1 && errno != EEXIST)
		return -1;
	if (move_in(cap, base, own) == -1)
		return -1;
	cap->made_base = true;
	return 0;
}

int
cap_cgroup2_find(struct cap *cap, const char *name, char *why, size_t why_size)
{
	struct cap_hierarchy h = { .fstype = "cgroup2", .option = NULL };
	const char *mount = h.mount, *own = h.own;
	char base[CONFIG_PATH_MAX], *last;

	if (cap_find_own(cap, &h) == -1) {
		snprintf(why, why_size, "cgroup v2 is not mounted");
		return -1;
	}
	strlcpy(cap->mount, mount, sizeof(cap->mount));
	if (!has_memory(mount, "cgroup.controllers")) {
		snprintf(why, why_size, "cgroup v2 has no memory controller");
		return -1;
	}
	strlcpy(base, own, sizeof(base));
	last = strrchr(base, '/');
	if (last != NULL && strcmp(last, "/master") == 0 && strcmp(own, mount) != 0)
		*last = '\0'; /* the process that started us has moved already */
	if (strcmp(base, mount) != 0 && has_memory(base, "cgroup.controllers") &&
	    move_in(cap, base, own) == 0)
		return 0;
	if (move_in_at_top(cap, mount, own, name) == 0)
		return 0;
	snprintf(why, why_size, "cgroup v2: no cgroup below %s that may have memory limits: %s",
	    own, strerror(errno));
	return -1;
}
