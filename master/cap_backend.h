/*
 * Between cap.c and the two generations of cgroups.
 */
#ifndef MASTER_CAP_BACKEND_H
#define MASTER_CAP_BACKEND_H

#include <sys/queue.h>

#include "master/cap.h"

struct cap_setting {
	const char *file;
	const char *value;
	bool optional; /* kernels without it are fine */
};

/* What differs between v1 and v2. */
struct cap_files {
	enum memory_backend backend;
	const char *limit;
	const char *events; /* holds a line "oom_kill N" */
	const char *peak;
	struct cap_setting settings[3];
};

struct cap_trash {
	TAILQ_ENTRY(cap_trash) entry;
	int tries;
	char dir[CONFIG_PATH_MAX];
};

struct cap {
	const struct cap_files *files; /* NULL: rlimit */
	pid_t pid;
	char root[CONFIG_PATH_MAX];
	char base[CONFIG_PATH_MAX]; /* leaves are made in here */
	char home[CONFIG_PATH_MAX]; /* v2: where we came from, if we moved; else empty */
	char master[CONFIG_PATH_MAX]; /* v2: where we moved to */
	bool made_base;
	int64_t retry_at;
	TAILQ_HEAD(, cap_trash) trash;
};

extern const struct cap_files cap_cgroup1_files;
extern const struct cap_files cap_cgroup2_files;

/* Find and prepare cap->base.  Return 0, or -1 with a sentence in why. */
int cap_cgroup1_find(struct cap *cap, const char *name, char *why, size_t why_size);
int cap_cgroup2_find(struct cap *cap, const char *name, char *why, size_t why_size);

/*
 * The directory of our own cgroup in the hierarchy of that file system type ("cgroup2", or "cgroup" with the controller
 * option).  mount gets the mount point.  Returns 0, or -1 if it is not mounted or we are not in it.
 */
int cap_own_dir(const struct cap *cap, const char *fstype, const char *option, char *mount, char *own, size_t size);

/* 0, or -1 with errno.  cap_path() joins; -1 with ENAMETOOLONG. */
int cap_path(char *buf, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int cap_write(const char *dir, const char *file, const char *text);
int cap_read(const char *dir, const char *file, char *buf, size_t size);

/* True if word is among the words of list. */
bool cap_has_word(const char *list, const char *separators, const char *word);

#endif
