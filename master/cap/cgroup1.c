/*
 * Memory caps by the memory controller of cgroup v1.  Leaves are in a cgroup of ours, below the
 * cgroup that we were started in.
 */
#include "master/cap/private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

const struct cap_files cap_cgroup1_files = {
	.backend = MEMORY_CGROUP1,
	.limit = "memory.limit_in_bytes",
	.usage = "memory.usage_in_bytes",
	.events = "memory.oom_control",
	.peak = "memory.max_usage_in_bytes",
	.own = "memory.failcnt",
	.above = "memory.failcnt",
	.kinds = {
		.anon = "rss",
		.file = "cache",
		.kernel = "memory.kmem.usage_in_bytes",
		.sock = "memory.kmem.tcp.usage_in_bytes",
	},
};

/* cgroup-v1/memory.rst, "OOM Control". */
int
cap_cgroup1_watch(const char *dir)
{
	char path[CONFIG_PATH_MAX], text[32];
	int control, count;

	if (cap_path(path, sizeof(path), "%s/memory.oom_control", dir) == -1)
		return -1;
	control = open(path, O_RDONLY | O_CLOEXEC);
	if (control == -1)
		return -1;
	count = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (count != -1) {
		snprintf(text, sizeof(text), "%d %d", count, control);
		if (cap_write(dir, "cgroup.event_control", text) == -1) {
			close(count);
			count = -1;
		}
	}
	close(control);
	return count;
}

int
cap_cgroup1_find(struct cap *cap, const char *name, char *why, size_t why_size)
{
	struct cap_hierarchy h = { .fstype = "cgroup", .option = "memory" };

	if (cap_find_own(cap, &h) == -1) {
		snprintf(why, why_size, "cgroup v1 has no memory controller mounted");
		return -1;
	}
	/* a container may see its cgroup as the root, and yet be told its outer path */
	if (access(h.own, F_OK) == -1)
		strlcpy(h.own, h.mount, sizeof(h.own));
	strlcpy(cap->mount, h.mount, sizeof(cap->mount));
	if (cap_path(cap->base, sizeof(cap->base), "%s/%s", h.own, name) == -1 ||
	    (mkdir(cap->base, 0755) == -1 && errno != EEXIST)) {
		snprintf(why, why_size, "cgroup v1: mkdir %s/%s: %s", h.own, name, strerror(errno));
		return -1;
	}
	cap->made_base = true;
	cap->ooms = cap_cgroup1_watch(cap->base);
	return 0;
}
