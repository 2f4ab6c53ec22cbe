/*
 * What the files of this folder share.  cap.c chooses a backend and makes leaves; cgroup1.c and
 * cgroup2.c find the cgroup for them; account.c tells who was short of memory; files.c reads and
 * writes files.
 */
#ifndef MASTER_CAP_PRIVATE_H
#define MASTER_CAP_PRIVATE_H

#include <sys/queue.h>

#include "master/cap/cap.h"

struct cap_setting {
	const char *file;
	const char *value;
	bool optional; /* older kernels do not have it */
};

/* Lines of memory.stat; for what v1 does not have there, files. */
struct cap_kind_files {
	const char *anon;
	const char *file;
	const char *kernel; /* v1: a file */
	const char *sock; /* v1: a file */
};

/* What differs between v1 and v2. */
struct cap_files {
	enum memory_backend backend;
	const char *limit;
	const char *usage;
	const char *events; /* holds a line "oom_kill N" */
	const char *peak;
	const char *own; /* says how often the own limit made the kernel kill (v1: was hit) */
	const char *above; /* says the same of a cgroup above, without those below that one */
	const char *count_line; /* the line of these files; NULL: the file is the number */
	struct cap_kind_files kinds;
	struct cap_setting settings[3];
};

struct cap_trash {
	TAILQ_ENTRY(cap_trash) entry;
	int tries;
	bool ours; /* its process has ended: what is left in it is killed at once */
	char dir[CONFIG_PATH_MAX];
};

struct cap {
	const struct cap_files *files; /* NULL: rlimit */
	pid_t pid; /* of the master */

	/* Directories. */
	char root[CONFIG_PATH_MAX]; /* put before every path */
	char base[CONFIG_PATH_MAX]; /* leaves are made in here */
	bool made_base; /* base is to be removed */
	char mount[CONFIG_PATH_MAX]; /* of the hierarchy */
	char home[CONFIG_PATH_MAX]; /* v2: where we came from, if we moved; else empty */
	char master[CONFIG_PATH_MAX]; /* v2: where we moved to */

	/* v1: an eventfd that counts the OOMs of base and above it (-1: none), and its sum. */
	int ooms;
	int64_t ooms_above;

	/* Leaves that could not be removed yet. */
	TAILQ_HEAD(, cap_trash) trash;
	int64_t retry_at; /* on clock_ms(); 0: there are none */
};

/* A hierarchy of cgroups, and our own cgroup in it. */
struct cap_hierarchy {
	const char *fstype; /* "cgroup2" or "cgroup" */
	const char *option; /* of the mount, a controller; NULL: none */
	char mount[CONFIG_PATH_MAX];
	char own[CONFIG_PATH_MAX];
};

extern const struct cap_files cap_cgroup1_files;
extern const struct cap_files cap_cgroup2_files;

/* Find and prepare cap->base.  Return 0, or -1 with a sentence in why. */
int cap_cgroup1_find(struct cap *cap, const char *name, char *why, size_t why_size);
int cap_cgroup2_find(struct cap *cap, const char *name, char *why, size_t why_size);

/*
 * v1: returns an eventfd that counts how often the cgroup, or one above it, left the kernel nothing
 * but to kill; -1 if there can be none.
 */
int cap_cgroup1_watch(const char *dir);

/* Adds up what an eventfd has counted since the last call. */
int64_t cap_take_count(int fd);

/* Reads the counts of a leaf and above it. */
void cap_count(const struct cap *cap, const char *leaf, struct cap_counts *counts);

/* Kills all processes of a cgroup.  A process that is being made meanwhile may be missed. */
void cap_kill(const char *dir);

/*
 * Finds the hierarchy of that fstype and option: fills in mount and own.  Returns 0, or -1 if it is
 * not mounted or we are not in it.
 */
int cap_find_own(const struct cap *cap, struct cap_hierarchy *h);

/* Joins a path.  Returns 0, or -1 with ENAMETOOLONG. */
int cap_path(char *buf, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Write or read a whole file.  Return 0, or -1 with errno. */
int cap_write(const char *dir, const char *file, const char *text);
int cap_read(const char *dir, const char *file, char *buf, size_t size);

/*
 * Reads the number in a file, or, if line is not NULL, behind that word at the begin of a line.
 * Returns -1 if there is none; INT64_MAX for "max".
 */
int64_t cap_read_number(const char *dir, const char *file, const char *line);

/* Whether word is among the words of list. */
bool cap_has_word(const char *list, const char *separators, const char *word);

#endif
