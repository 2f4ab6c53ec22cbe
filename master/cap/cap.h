/*
 * Memory caps.  Each worker process gets a fresh leaf: a cgroup of its own (v2, else v1).  So the
 * kernel's counts in the leaf belong to that process alone.  Without a usable cgroup the cap is
 * RLIMIT_DATA, and the leaf is empty.
 *
 * cgroup files: Linux Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.
 */
#ifndef MASTER_CAP_CAP_H
#define MASTER_CAP_CAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/config/config.h"

struct cap;

#define CAP_LEVELS 8 /* cgroups above a leaf that are looked at, nearest first */

/* What the kernel has counted for a leaf and above it. */
struct cap_counts {
	int64_t kills; /* processes of the leaf killed for memory; rlimit: of the machine */
	int64_t own; /* times that the leaf's own limit left the kernel nothing but to kill */
	int64_t
	    above[CAP_LEVELS]; /* v2: likewise, of each level; v1: how often its limit was hit */
};

struct cap_leaf {
	char dir[CONFIG_PATH_MAX]; /* empty: none (rlimit) */
	char peak_file[CONFIG_PATH_MAX]; /* tells the peak of memory; empty: none */
	struct cap_counts before; /* when the leaf was made */
	int procs; /* cgroup.procs for the child to write "0" to; -1: none */
	int ooms; /* v1: an eventfd that counts the OOMs of the leaf and above it; -1: none */
	int64_t ooms_above; /* v1: those above it, before the leaf was made */
};

/* Who was short of memory when the kernel killed a process of a leaf. */
enum cap_short {
	CAP_SHORT_NONE, /* nobody: the kernel has killed nothing there for memory */
	CAP_SHORT_OWN, /* the leaf: its own limit was hit */
	CAP_SHORT_ABOVE, /* a cgroup above the leaf */
	CAP_SHORT_MACHINE,
};

/* Bytes, -1: unknown. */
struct cap_verdict {
	enum cap_short who;
	int64_t peak; /* of the leaf */
	char above[CONFIG_PATH_MAX]; /* CAP_SHORT_ABOVE: its path below the mount */
	int64_t used; /* CAP_SHORT_ABOVE: its peak; CAP_SHORT_MACHINE: what was available after */
	int64_t total; /* CAP_SHORT_ABOVE: its limit; CAP_SHORT_MACHINE: the machine's memory */
};

/* A leaf's memory by kind, bytes. */
struct cap_kinds {
	int64_t at; /* when it was read, on clock_ms(); 0: never */
	int64_t anon; /* heap, stacks, … */
	int64_t file; /* page cache, with shmem */
	int64_t shmem;
	int64_t kernel; /* -1: unknown */
	int64_t sock; /* buffers of sockets; -1: unknown */
};

struct cap_wish {
	const char *root; /* put before every path; empty outside of tests */
	enum memory_backend backend; /* MEMORY_AUTO: the best that works */
	const char *name; /* of our cgroup, below the one that we are in */
	pid_t pid; /* ours */
};

/*
 * Finds a backend.  For v2 it moves the calling process.  Removes the leaves of dead masters.
 * Returns NULL if the wanted backend does not work.  why gets the reason for that, or the reason
 * against a better backend; empty: there is none.
 */
struct cap *cap_open(const struct cap_wish *wish, char *why, size_t why_size);

enum memory_backend cap_backend(const struct cap *cap);

/* Hands the cgroup over to an unprivileged user.  Returns 0, or -1 with errno. */
int cap_chown(struct cap *cap, uid_t uid, gid_t gid);

/*
 * Makes a leaf with its limit.  Returns 0, or -1 with errno; then leaf is empty and needs no
 * removal.
 */
int cap_leaf_create(
    struct cap *cap, int slot, uint64_t generation, int64_t limit, struct cap_leaf *leaf);

/* Closes leaf->procs, once the child has used it. */
void cap_leaf_close(struct cap_leaf *leaf);

/* Tells who was short of memory, if the kernel has killed a process of the leaf. */
void cap_leaf_judge(struct cap *cap, const struct cap_leaf *leaf, struct cap_verdict *v);

/*
 * For a process that was refused memory below its cap: returns whether the machine does so since it
 * has promised all to others (vm.overcommit_memory = 2).  Then v says that the machine was short.
 */
bool cap_machine_refuses(const struct cap *cap, struct cap_verdict *v);

/*
 * Reads the leaf's memory by kind if the leaf is near its limit of so many bytes; else leaves kinds
 * alone.  After the process's end the kernel no longer tells what the process had.
 */
void cap_leaf_look(
    const struct cap *cap, const struct cap_leaf *leaf, int64_t limit, struct cap_kinds *kinds);

/* The memory that the process of the leaf has now, and its peak.  Bytes; -1: unknown. */
void cap_leaf_usage(
    const struct cap *cap, const struct cap_leaf *leaf, pid_t pid, int64_t *now, int64_t *peak);

/*
 * Kills what is left in the leaf of a process that is gone, and removes the leaf, at once or with
 * later calls of cap_run().
 */
void cap_leaf_remove(struct cap *cap, struct cap_leaf *leaf);

/* When to try failed removals again (0: there are none), and trying them. */
int64_t cap_deadline(const struct cap *cap);
void cap_run(struct cap *cap);

/* Removes our cgroup if no other master uses it, and frees.  NULL is fine. */
void cap_close(struct cap *cap);

#endif
