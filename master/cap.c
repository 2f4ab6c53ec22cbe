/*
 * Memory caps: the choice of a backend, and the life of leaves, which v1 and v2 share but for the names of their files.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "master/cap_backend.h"

#define TRASH_RETRY_MS 100
#define TRASH_TRIES 100

/* Removes an empty leaf; one that a process is only just leaving is for another try. */
static void
remove_dir(struct cap *cap, const char *dir)
{
	struct cap_trash *trash;

	if (rmdir(dir) == 0 || errno == ENOENT)
		return;
	trash = calloc(1, sizeof(*trash));
	if (trash == NULL)
		return; /* the next start removes it */
	strlcpy(trash->dir, dir, sizeof(trash->dir));
	TAILQ_INSERT_TAIL(&cap->trash, trash, entry);
	if (cap->retry_at == 0)
		cap->retry_at = clock_ms() + TRASH_RETRY_MS;
}

/* A zombie that nobody has waited for yet still has its pid, and is as dead as can be (proc_pid_stat(5)). */
static bool
is_alive(const struct cap *cap, pid_t pid)
{
	char dir[CONFIG_PATH_MAX], stat[512], *state;

	if (kill(pid, 0) == -1 && errno == ESRCH)
		return false;
	if (cap_path(dir, sizeof(dir), "%s/proc/%d", cap->root, (int)pid) == -1 || cap_read(dir, "stat", stat, sizeof(stat)) == -1)
		return true;
	state = strrchr(stat, ')');
	return state == NULL || (strncmp(state, ") Z", 3) != 0 && strncmp(state, ") X", 3) != 0);
}

/* Names of leaves begin with their master's pid; those of a dead one are in nobody's way but the kernel's. */
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
		if (errno != 0 || end == entry->d_name || *end != '.' || pid <= 0 || pid == cap->pid)
			continue;
		if (is_alive(cap, (pid_t)pid))
			continue;
		if (cap_path(path, sizeof(path), "%s/%s", cap->base, entry->d_name) == 0)
			remove_dir(cap, path);
	}
	closedir(dir);
}

/* Finding a cgroup is one thing, being allowed to limit in it another: try. */
static int
try_leaf(struct cap *cap, char *why, size_t why_size)
{
	struct cap_leaf leaf;

	if (cap_leaf_create(cap, 0, 0, 16 << 20, &leaf) == -1) {
		snprintf(why, why_size, "%s: a leaf in %s: %s", memory_backend_name(cap->files->backend), cap->base,
		    strerror(errno));
		return -1;
	}
	cap_leaf_remove(cap, &leaf);
	return 0;
}

static int
open_cgroup(struct cap *cap, const struct cap_files *files, const char *name, char *why, size_t why_size)
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
cap_open(const char *root, enum memory_backend wanted, const char *name, pid_t pid, char *why, size_t why_size)
{
	char reason[2][CONFIG_PATH_MAX + 256] = { "", "" };
	struct cap *cap;

	why[0] = '\0';
	cap = calloc(1, sizeof(*cap));
	if (cap == NULL) {
		snprintf(why, why_size, "out of memory");
		return NULL;
	}
	TAILQ_INIT(&cap->trash);
	strlcpy(cap->root, root, sizeof(cap->root));
	cap->pid = pid;
	if (wanted == MEMORY_CGROUP2 || wanted == MEMORY_AUTO)
		if (open_cgroup(cap, &cap_cgroup2_files, name, reason[0], sizeof(reason[0])) == 0)
			return cap;
	if (wanted == MEMORY_CGROUP1 || wanted == MEMORY_AUTO)
		if (open_cgroup(cap, &cap_cgroup1_files, name, reason[1], sizeof(reason[1])) == 0)
			goto done;
	if (wanted == MEMORY_RLIMIT || wanted == MEMORY_AUTO)
		goto done;
	snprintf(why, why_size, "%s%s", reason[0], reason[1]);
	cap_close(cap);
	return NULL;

done:
	snprintf(why, why_size, "%s%s%s", reason[0], reason[0][0] != '\0' && reason[1][0] != '\0' ? "; " : "", reason[1]);
	return cap;
}

enum memory_backend
cap_backend(const struct cap *cap)
{
	return cap->files == NULL ? MEMORY_RLIMIT : cap->files->backend;
}

/* Who may write to the base's cgroup.procs may move its own processes between leaves; making leaves needs the directory. */
int
cap_chown(struct cap *cap, uid_t uid, gid_t gid)
{
	static const char *const files[] = { "cgroup.procs", "cgroup.subtree_control", "cgroup.threads" };
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

/* The number in the line "oom_kill N"; 0 if there is none (kernels before 4.13). */
static int64_t
read_kills(const struct cap *cap, const char *dir)
{
	char text[1024], *line, *rest = text;

	if (cap_read(dir, cap->files->events, text, sizeof(text)) == -1)
		return 0;
	while ((line = strsep(&rest, "\n")) != NULL)
		if (strncmp(line, "oom_kill ", 9) == 0)
			return strtoll(line + 9, NULL, 10);
	return 0;
}

int
cap_leaf_create(struct cap *cap, int slot, uint64_t generation, int64_t limit, struct cap_leaf *leaf)
{
	char path[CONFIG_PATH_MAX];
	int saved;

	memset(leaf, 0, sizeof(*leaf));
	leaf->procs = -1;
	if (cap->files == NULL)
		return 0;
	if (cap_path(leaf->dir, sizeof(leaf->dir), "%s/%d.%d.%" PRIu64, cap->base, (int)cap->pid, slot, generation) == -1)
		goto err0;
	/* One that is there already was another process's: what it counted so far is not ours. */
	if (mkdir(leaf->dir, 0755) == -1 && errno != EEXIST)
		goto err0;
	if (limit_leaf(cap, leaf->dir, limit) == -1 || cap_path(path, sizeof(path), "%s/cgroup.procs", leaf->dir) == -1)
		goto err1;
	leaf->procs = open(path, O_WRONLY | O_CLOEXEC);
	if (leaf->procs == -1)
		goto err1;
	leaf->kills_before = read_kills(cap, leaf->dir);
	if (cap_path(path, sizeof(path), "%s/%s", leaf->dir, cap->files->peak) == 0 && access(path, R_OK) == 0)
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
cap_leaf_read(const struct cap *cap, const struct cap_leaf *leaf, int64_t *kills, int64_t *peak)
{
	char text[64], *end;

	*kills = 0;
	*peak = -1;
	if (cap->files == NULL || leaf->dir[0] == '\0')
		return;
	*kills = read_kills(cap, leaf->dir) - leaf->kills_before;
	if (cap_read(leaf->dir, cap->files->peak, text, sizeof(text)) == -1)
		return;
	*peak = strtoll(text, &end, 10);
	if (end == text)
		*peak = -1;
}

void
cap_leaf_remove(struct cap *cap, struct cap_leaf *leaf)
{
	cap_leaf_close(leaf);
	if (leaf->dir[0] != '\0')
		remove_dir(cap, leaf->dir);
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
	TAILQ_FOREACH_SAFE(trash, &cap->trash, entry, next) {
		if (rmdir(trash->dir) == -1 && errno != ENOENT) {
			if (++trash->tries < TRASH_TRIES)
				continue;
			log_warn("cgroup %s cannot be removed: %s", trash->dir, strerror(errno));
		}
		TAILQ_REMOVE(&cap->trash, trash, entry);
		free(trash);
	}
	cap->retry_at = TAILQ_EMPTY(&cap->trash) ? 0 : clock_ms() + TRASH_RETRY_MS;
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
		rmdir(trash->dir);
		free(trash);
	}
	snprintf(pid, sizeof(pid), "%d", (int)cap->pid);
	if (cap->made_base && cap->master[0] != '\0' && cap_write(cap->home, "cgroup.procs", pid) == 0)
		rmdir(cap->master);
	if (cap->made_base)
		rmdir(cap->base); /* another instance's leaves keep it there */
	free(cap);
}
