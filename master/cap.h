/*
 * Memory caps.  Each worker process gets a fresh leaf: a cgroup of its own (v2, else v1), so that the kernel's count of
 * kills in it belongs to that process alone.  Without a usable cgroup the cap is RLIMIT_DATA, and the leaf is empty.
 *
 * cgroup files: Linux Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.
 */
#ifndef MASTER_CAP_H
#define MASTER_CAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/config.h"

struct cap;

struct cap_leaf {
	char dir[CONFIG_PATH_MAX]; /* empty: none (rlimit) */
	char peak_file[CONFIG_PATH_MAX];
	int64_t kills_before;
	int procs; /* cgroup.procs for the child to write "0" to; -1: none */
};

/*
 * Finds a backend: the wanted one, or with MEMORY_AUTO the best that works.  name is our cgroup's, below the one
 * that we are in; root is put before every path ("" outside of tests); pid is ours.  Moves the calling process for v2.
 * Removes what dead masters have left.  Returns NULL if the wanted one does not work.  why gets a sentence: why not,
 * or why not the better one; empty if there is nothing to say.
 */
struct cap *cap_open(const char *root, enum memory_backend wanted, const char *name, pid_t pid, char *why, size_t why_size);

enum memory_backend cap_backend(const struct cap *cap);

/* Hands the cgroup over to an unprivileged user.  Returns 0, or -1 with errno. */
int cap_chown(struct cap *cap, uid_t uid, gid_t gid);

/* A new leaf with its limit set.  Returns 0, or -1 with errno; leaf then is empty and needs no release. */
int cap_leaf_create(struct cap *cap, int slot, uint64_t generation, int64_t limit, struct cap_leaf *leaf);

/* Closes the way in, once the child has used it. */
void cap_leaf_close(struct cap_leaf *leaf);

/* What the kernel counted: processes of the leaf that it killed for memory, and the peak in bytes (-1: unknown). */
void cap_leaf_read(const struct cap *cap, const struct cap_leaf *leaf, int64_t *kills, int64_t *peak);

/* Removes the leaf of a process that has been reaped, at once or by and by. */
void cap_leaf_remove(struct cap *cap, struct cap_leaf *leaf);

/* Removals that failed are tried again: the next time, and the trying. */
int64_t cap_deadline(const struct cap *cap);
void cap_run(struct cap *cap);

/* Removes our cgroup if nobody else uses it, and frees.  NULL is fine. */
void cap_close(struct cap *cap);

#endif
