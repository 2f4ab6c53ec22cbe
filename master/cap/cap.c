#include "master/cap/cap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "master/cap/private.h"

#define TRASH_RETRY_MS 100
#define TRASH_TRIES 100
#define TRASH_SPARED 50 /* so many for a worker of a dead master to hand its task back */

/* When we end, leaves with processes in them get a last second. */
#define LAST_PAUSE_MS 10
#define LAST_TRIES 100

/*
 * Removes a leaf.  If there are processes in it, cap_run() tries again.  ours: the leaf's worker
 * has ended, and what it has left behind is killed.
 */
static void
remove_dir(struct cap *cap, const char *dir, bool ours)
{
	struct cap_trash *trash;

	if (rmdir(dir) == 0 || errno == ENOENT)
		return;
	if (ours)
		cap_kill(dir);
	trash = calloc(1, sizeof(*trash));
	if (trash == NULL)
		return; /* the next start removes it */
	strlcpy(trash->dir, dir, sizeof(trash->dir));
	trash->ours = ours;
	TAILQ_INSERT_TAIL(&cap->trash, trash, entry);
	if (cap->retry_at == 0)
		cap->retry_at = clock_ms() + TRASH_RETRY_MS;
}

/* A zombie still has its pid, but counts as dead (proc_pid_stat(5)). */
static bool
is_alive(const struct cap *cap, pid_t pid)
{
	char dir[CONFIG_PATH_MAX], stat[512], *state;

	if (kill(pid, 0) == -1 && errno == ESRCH)
		return false;
	if (cap_path(dir, sizeof(dir), "%s/proc/%d", cap->root, (int)pid) == -1 ||
	    cap_read(dir, "stat", stat, sizeof(stat)) == -1)
		return true;
	state = strrchr(stat, ')');
	return state == NULL || (strncmp(state, ") Z", 3) != 0 && strncmp(state, ") X", 3) != 0);
}

/* The name of a leaf begins with the pid of its master.  Removes those of dead masters. */
static void
remove_strays(struct cap *cap)
{
	char path[CONFIG_PATH_MAX], *end;
	struct dirent *entry;
	long pid;
	DIR *dir;

	dir = opendir(cap->base);
	if (dir == NULL)
		return;
	while ((entry = readdir(dir)) != NULL) {
		errno = 0;
		pid = strtol(entry->d_name, &end, 10);
		if (errno != 0 || end == entry->d_name || *end != '.' || pid <= 0 ||
		    pid == cap->pid)
			continue;
		if (is_alive(cap, (pid_t)pid))
			continue;
		if (cap_path(path, sizeof(path), "%s/%s", cap->base, entry->d_name) == 0)
			remove_dir(cap, path, false);
	}
	closedir(dir);
}

/* Finds out whether we may set limits in the cgroup. */
static int
try_leaf(struct cap *cap, char *why, size_t why_size)
{
	struct cap_leaf leaf;

	if (cap_leaf_create(cap, 0, 0, 16 << 20, &leaf) == -1) {
		snprintf(why, why_size, "%s: a leaf in %s: %s",
		    memory_backend_name(cap->files->backend), cap->base, strerror(errno));
		return -1;
	}
	cap_leaf_remove(cap, &leaf);
	return 0;
}

static int
open_cgroup(
    struct cap *cap, const struct cap_files *files, const char *name, char *why, size_t why_size)
{
	int found;

	found = files->backend == MEMORY_CGROUP2 ? cap_cgroup2_find(cap, name, why, why_size)
						 : cap_cgroup1_find(cap, name, why, why_size);
	if (found == -1)
		return -1;
	cap->files = files;
	remove_strays(cap);
	if (try_leaf(cap, why, why_size) == 0)
		return 0;
	cap->files = NULL;
	return -1;
}

struct cap *
cap_open(const struct cap_wish *wish, char *why, size_t why_size)
{
	enum memory_backend wanted = wish->backend;
	char reason[2][CONFIG_PATH_MAX + 256] = { "", "" };
	struct cap *cap;

	why[0] = '\0';
	cap = calloc(1, sizeof(*cap));
	if (cap == NULL) {
		snprintf(why, why_size, "out of memory");
		return NULL;
	}
	TAILQ_INIT(&cap->trash);
	strlcpy(cap->root, wish->root, sizeof(cap->root));
	cap->pid = wish->pid;
	cap->ooms = -1;
	if (wanted == MEMORY_CGROUP2 || wanted == MEMORY_AUTO)
		if (open_cgroup(
			cap, &cap_cgroup2_files, wish->name, reason[0], sizeof(reason[0])) == 0)
			return cap;
	if (wanted == MEMORY_CGROUP1 || wanted == MEMORY_AUTO)
		if (open_cgroup(
			cap, &cap_cgroup1_files, wish->name, reason[1], sizeof(reason[1])) == 0)
			goto done;
	if (wanted == MEMORY_RLIMIT || wanted == MEMORY_AUTO)
		goto done;
	snprintf(why, why_size, "%s%s", reason[0], reason[1]);
	cap_close(cap);
	return NULL;

done:
	snprintf(why, why_size, "%s%s%s", reason[0],
	    reason[0][0] != '\0' && reason[1][0] != '\0' ? "; " : "", reason[1]);
	return cap;
}

enum memory_backend
cap_backend(const struct cap *cap)
{
	return cap->files == NULL ? MEMORY_RLIMIT : cap->files->backend;
}

/*
 * A user who may write to the base's cgroup.procs may move processes between leaves.  Making leaves
 * needs the directory.
 */
int
cap_chown(struct cap *cap, uid_t uid, gid_t gid)
{
	static const char *const files[] = { "cgroup.procs", "cgroup.subtree_control",
		"cgroup.threads" };
	char path[CONFIG_PATH_MAX];
	size_t i;

	if (cap->files == NULL)
		return 0;
	if (chown(cap->base, uid, gid) == -1)
		return -1;
	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (cap_path(path, sizeof(path), "%s/%s", cap->base, files[i]) == -1)
			return -1;
		if (chown(path, uid, gid) == -1 && errno != ENOENT)
			return -1;
	}
	if (cap->master[0] != '\0') {
		if (cap_path(path, sizeof(path), "%s/cgroup.procs", cap->master) == -1)
			return -1;
		if (chown(path, uid, gid) == -1)
			return -1;
	}
	return 0;
}

static int
limit_leaf(const struct cap *cap, const char *dir, int64_t limit)
{
	const struct cap_setting *s;
	char text[32];

	snprintf(text, sizeof(text), "%" PRId64, limit);
	if (cap_write(dir, cap->files->limit, text) == -1)
		return -1;
	for (s = cap->files->settings; s->file != NULL; s++)
		if (cap_write(dir, s->file, s->value) == -1 && !(s->optional && errno == ENOENT))
			return -1;
	return 0;
}

/* Notes what was counted before the leaf's process began. */
static void
begin_counts(struct cap *cap, struct cap_leaf *leaf)
{
	cap_count(cap, leaf->dir, &leaf->before);
	if (cap->ooms == -1)
		return;
	leaf->ooms = cap_cgroup1_watch(leaf->dir);
	cap->ooms_above += cap_take_count(cap->ooms);
	leaf->ooms_above = cap->ooms_above;
}

int
cap_leaf_create(
    struct cap *cap, int slot, uint64_t generation, int64_t limit, struct cap_leaf *leaf)
{
	char path[CONFIG_PATH_MAX];
	int saved;

	memset(leaf, 0, sizeof(*leaf));
	leaf->procs = leaf->ooms = -1;
	if (cap->files == NULL) {
		begin_counts(cap, leaf);
		return 0;
	}
	if (cap_path(leaf->dir, sizeof(leaf->dir), "%s/%d.%d.%" PRIu64, cap->base, (int)cap->pid,
		slot, generation) == -1)
		goto err0;
	/* A leaf that is there already was another process's: leaf->before tells its kills apart.
	 */
	if (mkdir(leaf->dir, 0755) == -1 && errno != EEXIST)
		goto err0;
	if (limit_leaf(cap, leaf->dir, limit) == -1 ||
	    cap_path(path, sizeof(path), "%s/cgroup.procs", leaf->dir) == -1)
		goto err1;
	leaf->procs = open(path, O_WRONLY | O_CLOEXEC);
	if (leaf->procs == -1)
		goto err1;
	begin_counts(cap, leaf);
	if (cap_path(path, sizeof(path), "%s/%s", leaf->dir, cap->files->peak) == 0 &&
	    access(path, R_OK) == 0)
		strlcpy(leaf->peak_file, path, sizeof(leaf->peak_file));
	return 0;

err1:
	saved = errno;
	rmdir(leaf->dir);
	errno = saved;
err0:
	leaf->dir[0] = '\0';
	return -1;
}

void
cap_leaf_close(struct cap_leaf *leaf)
{
	if (leaf->procs != -1)
		close(leaf->procs);
	leaf->procs = -1;
}

void
cap_leaf_remove(struct cap *cap, struct cap_leaf *leaf)
{
	cap_leaf_close(leaf);
	if (leaf->ooms != -1)
		close(leaf->ooms);
	leaf->ooms = -1;
	if (leaf->dir[0] != '\0')
		remove_dir(cap, leaf->dir, true);
	leaf->dir[0] = '\0';
	leaf->peak_file[0] = '\0';
}

int64_t
cap_deadline(const struct cap *cap)
{
	return cap->retry_at;
}

void
cap_run(struct cap *cap)
{
	struct cap_trash *trash, *next;

	if (cap->retry_at == 0 || cap->retry_at > clock_ms())
		return;
	TAILQ_FOREACH_SAFE (trash, &cap->trash, entry, next) {
		if (rmdir(trash->dir) == -1 && errno != ENOENT) {
			if (trash->ours || trash->tries >= TRASH_SPARED)
				cap_kill(trash->dir);
			if (++trash->tries < TRASH_TRIES)
				continue;
			log_warn("cgroup %s cannot be removed: %s", trash->dir, strerror(errno));
		}
		TAILQ_REMOVE(&cap->trash, trash, entry);
		free(trash);
	}
	cap->retry_at = TAILQ_EMPTY(&cap->trash) ? 0 : clock_ms() + TRASH_RETRY_MS;
}

/* Waits for what was killed in a leaf to leave it, for a little while. */
static void
empty_leaf(const char *dir)
{
	const struct timespec pause = { .tv_nsec = LAST_PAUSE_MS * 1000000 };
	char list[64];
	int i;

	for (i = 0; i < LAST_TRIES; i++) {
		if (cap_read(dir, "cgroup.procs", list, sizeof(list)) == -1 || list[0] == '\0')
			return;
		cap_kill(dir);
		nanosleep(&pause, NULL);
	}
}

void
cap_close(struct cap *cap)
{
	struct cap_trash *trash;
	char pid[16];

	if (cap == NULL)
		return;
	while ((trash = TAILQ_FIRST(&cap->trash)) != NULL) {
		TAILQ_REMOVE(&cap->trash, trash, entry);
		if (trash->ours)
			empty_leaf(trash->dir);
		rmdir(trash->dir);
		free(trash);
	}
	snprintf(pid, sizeof(pid), "%d", (int)cap->pid);
	if (cap->made_base && cap->master[0] != '\0' &&
	    cap_write(cap->home, "cgroup.procs", pid) == 0)
		rmdir(cap->master);
	if (cap->made_base)
		rmdir(cap->base); /* fails if another master has leaves in it */
	if (cap->ooms != -1)
		close(cap->ooms);
	free(cap);
}
