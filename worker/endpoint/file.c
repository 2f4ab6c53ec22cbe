#include "worker/endpoint/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"
#include "worker/base/crc64.h"
#include "worker/base/memory.h"
#include "worker/event/loop.h"
#include "worker/endpoint/beneath.h"

#define SLICE (1 << 20) /* bytes read back between two turns of the loop */
/*
 * Dropping pages begins so many bytes before the ones just read: the kernel reads ahead in large
 * folios, and drops a folio only as a whole.
 */
#define BEHIND (16 << 20)

void
file_init(struct file *file)
{
	memset(file, 0, sizeof(*file));
	file->dir = file->fd = -1;
}

/* Sets the failure by errno of an operation on the file.  Returns -1. */
static int
fail(const struct file *file, const char *what, struct failure *f)
{
	beneath_fail(file->store, file->path, what, f);
	f->writes = true;
	return -1;
}

int
file_open_dir(struct file *file, const struct config_store *store, const char *path, bool create,
    struct failure *f)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash != NULL ? slash + 1 : path;

	if (beneath_check(path, "destination", f) == -1)
		return -1;
	if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return failure_set(f, CLASS_PERMANENT, "destination: the path names a directory");
	if (strlcpy(file->name, name, sizeof(file->name)) >= sizeof(file->name))
		return failure_set(
		    f, CLASS_PERMANENT, "destination: a file name of more than 255 bytes");
	file->store = store;
	file->path = path;
	file->dir = beneath_directory(store, path, create, f);
	return file->dir == -1 ? -1 : 0;
}

enum file_found
file_look(const struct file *file, struct failure *f)
{
	struct stat st;

	if (fstatat(file->dir, file->name, &st, AT_SYMLINK_NOFOLLOW) == -1) {
		if (errno == ENOENT)
			return FILE_ABSENT;
		fail(file, "destination", f);
		return FILE_FAILED;
	}
	if (!S_ISDIR(st.st_mode))
		return FILE_FOUND;
	failure_set(f, CLASS_PERMANENT, "destination: there is a directory of that name");
	return FILE_FAILED;
}

void
file_name_temp(struct file *file, int64_t task, int64_t claim)
{
	snprintf(
	    file->temp, sizeof(file->temp), BENEATH_OWN "%" PRId64 "-%" PRId64 ".tmp", task, claim);
}

int
file_create_temp(struct file *file, struct failure *f)
{
	mode_t mode = (mode_t)file->store->file_mode;

	file->fd = beneath_make(file->dir, file->temp, mode);
	/* what has this name is no file of ours that is of use: it has no checkpoint */
	if (file->fd == -1 && errno == EEXIST && unlinkat(file->dir, file->temp, 0) == 0)
		file->fd = beneath_make(file->dir, file->temp, mode);
	return file->fd == -1 ? fail(file, "destination's temporary file", f) : 0;
}

/* The mode of a file that was to be replaced may forbid us to go on writing. */
static int
open_temp(const struct file *file)
{
	int fd = beneath_open(file->dir, file->temp, O_RDWR | O_NOFOLLOW);

	if (fd != -1 || errno != EACCES ||
	    fchmodat(file->dir, file->temp, S_IRUSR | S_IWUSR, AT_SYMLINK_NOFOLLOW) == -1)
		return fd;
	return beneath_open(file->dir, file->temp, O_RDWR | O_NOFOLLOW);
}

enum file_found
file_resume_temp(struct file *file, const char *temp, struct failure *f)
{
	/* the name comes from a row: only names that we make are opened */
	if (strncmp(temp, BENEATH_OWN, strlen(BENEATH_OWN)) != 0 || strchr(temp, '/') != NULL ||
	    strlcpy(file->temp, temp, sizeof(file->temp)) >= sizeof(file->temp)) {
		failure_set(f, CLASS_PERMANENT, "the checkpoint names no temporary file");
		return FILE_FAILED;
	}
	file->fd = open_temp(file);
	if (file->fd != -1)
		return FILE_FOUND;
	if (errno == ENOENT)
		return FILE_ABSENT;
	fail(file, "destination's temporary file", f);
	return FILE_FAILED;
}

int
file_write(struct file *file, const char *buf, size_t len, int64_t offset, struct failure *f)
{
	ssize_t n;

	while (len > 0) {
		n = pwrite(file->fd, buf, len, offset);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return fail(file, "destination", f);
		buf += n;
		len -= (size_t)n;
		offset += n;
	}
	return 0;
}

void
file_push(const struct file *file, int64_t offset, int64_t len)
{
	/* only a hint: fsync reports the errors */
	sync_file_range(file->fd, offset, len, SYNC_FILE_RANGE_WRITE);
}

void
file_drop(const struct file *file, int64_t offset, int64_t len)
{
	sync_file_range(file->fd, offset, len,
	    SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
	posix_fadvise(file->fd, offset, len, POSIX_FADV_DONTNEED);
}

void
file_forget_read(int fd, int64_t before)
{
	int64_t from = before > BEHIND ? before - BEHIND : 0;

	posix_fadvise(fd, from, before - from, POSIX_FADV_DONTNEED);
}

static int
read_back(struct worker *w, struct file *file, int64_t size, uint64_t *crc64, struct failure *f)
{
	char *buf = memory_alloc(SLICE);
	int64_t at = 0;
	ssize_t n = 0;
	int rc = 0;

	*crc64 = 0;
	while (rc == 0 && at < size) {
		n = pread(file->fd, buf, SLICE, at);
		if (n <= 0) {
			rc = n == 0
				 ? failure_set(f, CLASS_TRANSIENT,
				       "destination differs: %" PRId64 " bytes instead of %" PRId64,
				       at, size)
				 : fail(file, "destination", f);
			break;
		}
		*crc64 = crc64_update(*crc64, buf, (size_t)n);
		at += n;
		file_forget_read(file->fd, at);
		rc = loop_yield(w);
	}
	memory_free(buf);
	return rc;
}

enum file_found
file_read_whole(
    struct worker *w, struct file *file, int64_t size, uint64_t *crc64, struct failure *f)
{
	struct file whole = *file;
	enum file_found found = FILE_ABSENT;
	struct stat st;

	whole.fd = beneath_open(file->dir, file->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
	if (whole.fd == -1)
		return FILE_ABSENT;
	if (fstat(whole.fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == size) {
		found = read_back(w, &whole, size, crc64, f) == -1 ? FILE_FAILED : FILE_FOUND;
		/* the attempt that gave the file its name may have died before the name was on the
		 * disk */
		if (found == FILE_FOUND && (fsync(whole.fd) == -1 || fsync(file->dir) == -1)) {
			fail(file, "destination", f);
			found = FILE_FAILED;
		}
	}
	close(whole.fd);
	return found;
}

/*
 * A new file has the configured mode already.  A file that takes the place of another one gets that
 * one's mode, and its owner and group where we may give it away.
 */
static int
take_over(const struct file *file)
{
	struct stat old, new;

	if (fstatat(file->dir, file->name, &old, AT_SYMLINK_NOFOLLOW) == -1)
		return errno == ENOENT ? 0 : -1;
	if (!S_ISREG(old.st_mode))
		return 0;
	if (fstat(file->fd, &new) == -1 || (((old.st_mode ^ new.st_mode) & ACCESSPERMS) != 0 &&
					       fchmod(file->fd, old.st_mode & ACCESSPERMS) == -1))
		return -1;
	if ((old.st_uid != new.st_uid || old.st_gid != new.st_gid) &&
	    fchown(file->fd, old.st_uid, old.st_gid) == -1 &&
	    fchown(file->fd, (uid_t)-1, old.st_gid) == -1)
		log_debug("%s/%s: its owner cannot be kept: %s", file->store->root, file->path,
		    strerror(errno));
	return 0;
}

int
file_sync(struct worker *w, struct file *file, int64_t size, uint64_t *crc64, struct failure *f)
{
	/* an earlier attempt may have written more than this one */
	if (ftruncate(file->fd, size) == -1 || take_over(file) == -1 || fsync(file->fd) == -1)
		return fail(file, "destination", f);
	/* so that reading back asks the disk */
	posix_fadvise(file->fd, 0, 0, POSIX_FADV_DONTNEED);
	return crc64 != NULL ? read_back(w, file, size, crc64, f) : 0;
}

/* True if that name in the directory is the file that is open. */
static bool
is_ours(const struct file *file, const char *name)
{
	struct stat ours, there;

	return fstat(file->fd, &ours) == 0 &&
	       fstatat(file->dir, name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
	       ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

/*
 * NFS, and some file systems of FUSE, cannot rename without replacing.  They make a second name,
 * unless it is taken.  An attempt that died between the two calls has left both names.
 */
static int
link_name(const struct file *file)
{
	if (linkat(file->dir, file->temp, file->dir, file->name, 0) == 0 ||
	    (errno == EEXIST && is_ours(file, file->name)))
		return unlinkat(file->dir, file->temp, 0);
	if (errno == EPERM || errno == ENOSYS)
		errno = EOPNOTSUPP;
	return -1;
}

/* Gives the temporary file its name.  Returns 0, or -1 with errno. */
static int
give_name(const struct file *file, bool replace)
{
	int flags = replace ? 0 : RENAME_NOREPLACE;

	if (renameat2(file->dir, file->temp, file->dir, file->name, flags) == 0)
		return 0;
	if (replace || (errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP))
		return -1;
	return link_name(file);
}

enum file_end
file_commit(struct file *file, bool replace, struct failure *f)
{
	if (!is_ours(file, file->temp)) {
		failure_set(f, CLASS_TRANSIENT,
		    "destination: %s is not the file that was written; another program has removed "
		    "or replaced it",
		    file->temp);
		return FILE_STOLEN;
	}
	if (give_name(file, replace) == -1) {
		if (errno == EEXIST && !replace)
			return FILE_EXISTS;
		if (errno == EOPNOTSUPP && !replace)
			failure_set(f, CLASS_PERMANENT,
			    "destination (store %s): its file system can neither rename without "
			    "replacing nor make links, so that only if_exists = overwrite can be "
			    "kept there",
			    file->store->name);
		else
			fail(file, "destination", f);
		return FILE_LEFT;
	}
	if (fsync(file->dir) == -1) {
		fail(file, "destination's directory", f);
		return FILE_LEFT;
	}
	if (is_ours(file, file->name))
		return FILE_MADE;
	failure_set(f, CLASS_TRANSIENT,
	    "destination: another program has put another file in the place of the new one");
	return FILE_LEFT;
}

int
file_abort(struct file *file, struct failure *f)
{
	if (file->temp[0] == '\0')
		return 0;
	/* a file that another program has put there is not ours to remove */
	if (file->fd != -1 && !is_ours(file, file->temp))
		return 0;
	if (unlinkat(file->dir, file->temp, 0) == -1 && errno != ENOENT)
		return fail(file, "destination's temporary file", f);
	return 0;
}

void
file_release(struct file *file)
{
	if (file->fd != -1)
		close(file->fd);
	if (file->dir != -1)
		close(file->dir);
	file_init(file);
}
