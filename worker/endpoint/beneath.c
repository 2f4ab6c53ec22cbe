#include "worker/endpoint/beneath.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "worker/base/memory.h"

#define SHOWN 160 /* bytes of a root and of a path in the text of a failure */

static int
open_how(int dir, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC),
		.mode = mode,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};

	return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
}

int
beneath_open(int dir, const char *path, int flags)
{
	return open_how(dir, path, flags, 0);
}

/*
 * The modes are those of the configuration, whatever the umask.  A chmod afterwards would also undo
 * what a default ACL or the setgid bit of the directory says.
 */
int
beneath_make(int dir, const char *name, mode_t mode)
{
	mode_t mask = umask(0);
	int fd = open_how(dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode);

	umask(mask);
	return fd;
}

static int
make_directory(int dir, const char *name, mode_t mode)
{
	mode_t mask = umask(0);
	int rc = mkdirat(dir, name, mode);

	umask(mask);
	return rc;
}

int
beneath_check(const char *path, const char *what, struct failure *f)
{
	const char *at = path;

	while (at != NULL) {
		/* some file systems do not tell small letters from capitals */
		if (strncasecmp(at, BENEATH_OWN, strlen(BENEATH_OWN)) == 0)
			return failure_set(f, CLASS_PERMANENT,
			    "%s: the path has a name that begins with %s; such names are kept for "
			    "files that are being written: choose another",
			    what, BENEATH_OWN);
		at = strchr(at, '/');
		if (at != NULL)
			at++;
	}
	return 0;
}

/* Sets the failure by errno, with store and path in its text. */
static int
fail(const struct config_store *store, const char *path, const char *what, struct failure *f)
{
	char whose[TASK_ERROR_MAX];
	int err = errno;

	snprintf(whose, sizeof(whose), "%s (store %s, %.*s%s%.*s)", what, store->name, SHOWN,
	    store->root, path[0] != '\0' ? "/" : "", SHOWN, path);
	strlcpy(f->store, store->name, sizeof(f->store));
	errno = err;
	return failure_errno(f, whose);
}

/* Likewise, for trouble that is the store's. */
static int
fail_store(const struct config_store *store, const char *path, const char *what, struct failure *f)
{
	fail(store, path, what, f);
	strlcat(f->text, "; look whether it is mounted, and what the daemon may do there",
	    sizeof(f->text));
	f->class = CLASS_TRANSIENT;
	f->trouble = TROUBLE_STORE;
	return -1;
}

int
beneath_fail(
    const struct config_store *store, const char *path, const char *what, struct failure *f)
{
	switch (errno) {
	case ENOENT:
	case EACCES:
	case EPERM:
	case EROFS:
	case ENODEV:
	case ENXIO:
		return fail_store(store, path, what, f);
	default:
		return fail(store, path, what, f);
	}
}

int
beneath_root(const struct config_store *store, struct failure *f)
{
	int root = open(store->root, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (root != -1)
		return root;
	fail_store(store, "", "the store's root", f);
	return failure_blame(f, TROUBLE_STORE);
}

/* The part of path before its last slash, as a heap string; "." if there is no slash. */
static char *
directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir;

	if (slash == NULL)
		return memory_strdup(".");
	dir = memory_strdup(path);
	/* of an absolute path "/", which leaves the root */
	dir[slash == path ? 1 : slash - path] = '\0';
	return dir;
}

/*
 * Opens a directory; with a mode other than 0, makes what is missing.  Returns a descriptor, or -1
 * and errno.
 */
static int
open_path(int root, const char *path, mode_t mode)
{
	int dir = beneath_open(root, path, O_RDONLY | O_DIRECTORY);
	const char *slash = strrchr(path, '/');
	char *parent;
	int above, rc;

	if (dir != -1 || errno != ENOENT || mode == 0)
		return dir;
	parent = directory_of(path);
	above = open_path(root, parent, mode);
	memory_free(parent);
	if (above == -1)
		return -1;
	/* the last component has no slash, so it cannot leave the directory above */
	rc = make_directory(above, slash != NULL ? slash + 1 : path, mode);
	/* else a power cut could take the new directory away, with all that is in it */
	if (rc == 0)
		rc = fsync(above);
	else if (errno == EEXIST)
		rc = 0;
	close(above);
	return rc == 0 ? beneath_open(root, path, O_RDONLY | O_DIRECTORY) : -1;
}

int
beneath_directory(
    const struct config_store *store, const char *path, bool create, struct failure *f)
{
	int root, dir;
	char *parent;

	if ((root = beneath_root(store, f)) == -1)
		return -1;
	parent = directory_of(path);
	dir = open_path(root, parent, create ? (mode_t)store->directory_mode : 0);
	if (dir == -1)
		beneath_fail(store, parent, "destination's directory", f);
	memory_free(parent);
	close(root);
	return dir;
}

/* A source could not be opened: true if that is so because of its directory. */
static bool
lacks_directory(int root, const char *path, const char *parent, int err)
{
	const char *slash = strrchr(path, '/');
	struct stat st;
	bool lacks;
	int dir;

	if (err != ENOENT && err != EACCES)
		return false;
	if ((dir = beneath_open(root, parent, O_PATH | O_DIRECTORY)) == -1)
		return errno == ENOENT || errno == EACCES;
	lacks = fstatat(dir, slash != NULL ? slash + 1 : path, &st, AT_SYMLINK_NOFOLLOW) == -1 &&
		errno == EACCES;
	close(dir);
	return lacks;
}

/* A mount point without its mount is empty. */
static bool
is_empty(int root)
{
	int fd = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd != -1 ? fdopendir(fd) : NULL;
	const struct dirent *entry;
	bool empty = dir != NULL;

	while (empty && (entry = readdir(dir)) != NULL)
		empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
	if (dir != NULL)
		closedir(dir);
	else if (fd != -1)
		close(fd);
	return empty;
}

static void
fail_source(const struct config_store *store, int root, const char *path, struct failure *f)
{
	int err = errno;
	char *parent = directory_of(path);
	bool lacks = lacks_directory(root, path, parent, err),
	     empty = err == ENOENT && is_empty(root);

	errno = err;
	if (empty) {
		fail_store(store, path, "source: the store's root is empty", f);
		failure_blame(f, TROUBLE_STORE);
	} else if (lacks)
		fail_store(store, parent, "source's directory", f);
	else
		fail(store, path, "source", f);
	memory_free(parent);
}

int
beneath_source(const struct config_store *store, const char *path, struct failure *f)
{
	int root, fd;

	if (beneath_check(path, "source", f) == -1 || (root = beneath_root(store, f)) == -1)
		return -1;
	/* O_NONBLOCK: a fifo must not block us.  The caller refuses all but regular files. */
	fd = beneath_open(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	if (fd == -1)
		fail_source(store, root, path, f);
	close(root);
	return fd;
}
