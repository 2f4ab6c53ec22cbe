/*
 * Memory caps by the memory controller of cgroup v1: leaves in a cgroup of ours below the one that we were started in.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/cap_backend.h"

const struct cap_files cap_cgroup1_files = {
	.backend = MEMORY_CGROUP1,
	.limit = "memory.limit_in_bytes",
	.events = "memory.oom_control",
	.peak = "memory.max_usage_in_bytes",
};

int
cap_cgroup1_find(struct cap *cap, const char *name, char *why, size_t why_size)
{
	char mount[CONFIG_PATH_MAX], own[CONFIG_PATH_MAX];

	if (cap_own_dir(cap, "cgroup", "memory", mount, own, sizeof(own)) == -1) {
		snprintf(why, why_size, "cgroup v1 has no memory controller mounted");
		return -1;
	}
	if (access(own, F_OK) == -1) /* a container that sees its cgroup as the root, yet is named by its outer path */
		strlcpy(own, mount, sizeof(own));
	if (cap_path(cap->base, sizeof(cap->base), "%s/%s", own, name) == -1 ||
	    (mkdir(cap->base, 0755) == -1 && errno != EEXIST)) {
		snprintf(why, why_size, "cgroup v1: mkdir %s/%s: %s", own, name, strerror(errno));
		return -1;
	}
	cap->made_base = true;
	return 0;
}
