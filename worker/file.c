/*
 * Files below a root.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "worker/crc64.h"
#include "worker/file.h"
#include "worker/loop.h"
#include "worker/memory.h"

#define FILE_SLICE (1 << 20)
#define FILE_BEHIND (16 << 20) /* what the kernel reads ahead lies in pages that are dropped whole or not at all */

static int
file_openat2(int dir, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC),
		.mode = (flags & O_CREAT) != 0 ? mode : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};

	return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
}

static int
file_open_root(const struct config_store *store, struct failure *f)
{
	int root = open(store->root, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (root == -1) {
		failure_errno(f, "the store's root");
		strlcpy(f->store, store->name, sizeof(f->store));
	}
	return root;
}

int
file_open_source(const struct config_store *store, const char *path, struct failure *f)
{
	int root, fd;

	if ((root = file_open_root(store, f)) == -1)
		return -1;
	/* a fifo must not hold us up; what is not a regular file is refused by the caller */
	fd = file_openat2(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	if (fd == -1)
		failure_errno(f, "source");
	close(root);
	return fd;
}

void
file_init(struct file *file)
{
	memset(file, 0, sizeof(*file));
	file->dir = file->fd = -1;
}

/* One directory deeper, made if it is not there.  Returns the descriptor of the deeper one or -1 with errno. */
static int
file_descend(int root, const char *path, bool create)
{
	int dir = file_openat2(root, path, O_PATH | O_DIRECTORY, 0);
	char *parent, *slash;
	int above, rc;

	if (dir != -1 || errno != ENOENT || !create)
		return dir;
	parent = memory_strdup(path);
	slash = strrchr(parent, '/');
	if (slash != NULL)
		*slash = '\0';
	above = slash != NULL ? file_descend(root, parent, true) : file_openat2(root, ".", O_PATH | O_DIRECTORY, 0);
	if (above != -1) {
		/* its parent was resolved beneath the root, and the last component names no other directory */
		rc = mkdirat(above, slash != NULL ? slash + 1 : parent, 0777);
		close(above);
		if (rc == 0 || errno == EEXIST)
			dir = file_openat2(root, path, O_PATH | O_DIRECTORY, 0);
	}
	memory_free(parent);
	return dir;
}

int
file_open_dir(struct file *file, const struct config_store *store, const char *path, bool create, struct failure *f)
{
	char *dir = memory_strdup(path);
	char *slash = strrchr(dir, '/');
	const char *name = slash != NULL ? slash + 1 : dir;
	int root, rc = -1;

	if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
		failure_set(f, CLASS_PERMANENT, "destination: the path names a directory");
	} else if (strlcpy(file->target, name, sizeof(file->target)) >= sizeof(file->target)) {
		failure_set(f, CLASS_PERMANENT, "destination: a file name of more than 255 bytes");
	} else if ((root = file_open_root(store, f)) != -1) {
		if (slash != NULL)
			*slash = '\0';
		file->dir = file_descend(root, slash != NULL ? dir : ".", create);
		if (file->dir == -1)
			failure_errno(f, "destination's directory");
		else
			rc = 0;
		close(root);
	}
	memory_free(dir);
	return rc;
}

int
file_stat_target(const struct file *file, int64_t *size, struct failure *f)
{
	struct stat st;

	if (fstatat(file->dir, file->target, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return errno == ENOENT ? 0 : failure_errno(f, "destination");
	if (S_ISDIR(st.st_mode))
		return failure_set(f, CLASS_PERMANENT, "destination: there is a directory of that name");
	*size = st.st_size;
	return 1;
}

void
file_name_temp(struct file *file, int64_t task, int64_t claim)
{
	snprintf(file->temp, sizeof(file->temp), ".ferry-%" PRId64 "-%" PRId64 ".tmp", task, claim);
}

int
file_create_temp(struct file *file, struct failure *f)
{
	file->fd = file_openat2(file->dir, file->temp, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0666);
	return file->fd == -1 ? failure_errno(f, "destination's temporary file") : 0;
}

int
file_resume_temp(struct file *file, const char *temp, struct failure *f)
{
	/* the name comes out of a row: nothing but one of ours */
	if (strncmp(temp, ".ferry-", 7) != 0 || strchr(temp, '/') != NULL ||
	    strlcpy(file->temp, temp, sizeof(file->temp)) >= sizeof(file->temp))
		return failure_set(f, CLASS_PERMANENT, "the checkpoint names no temporary file");
	file->fd = file_openat2(file->dir, file->temp, O_RDWR | O_NOFOLLOW, 0);
	if (file->fd == -1)
		return errno == ENOENT ? 1 : failure_errno(f, "destination's temporary file");
	return 0;
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
			return failure_errno(f, "destination");
		buf += n;
		len -= (size_t)n;
		offset += n;
	}
	return 0;
}

void
file_push(const struct file *file, int64_t offset, int64_t len)
{
	/* only a hint: what goes wrong on the way is said by fsync */
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
	int64_t from = before > FILE_BEHIND ? before - FILE_BEHIND : 0;

	posix_fadvise(fd, from, before - from, POSIX_FADV_DONTNEED);
}

static int
file_read_back(struct worker *w, struct file *file, int64_t size, uint64_t *crc64, struct failure *f)
{
	char *buf = memory_alloc(FILE_SLICE);
	int64_t at = 0;
	ssize_t n = 0;
	int rc = 0;

	*crc64 = 0;
	while (rc == 0 && at < size) {
		n = pread(file->fd, buf, FILE_SLICE, at);
		if (n <= 0) {
			rc = n == 0 ? failure_set(f, CLASS_TRANSIENT, "destination differs: %" PRId64
				    " bytes instead of %" PRId64, at, size) : failure_errno(f, "destination");
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

int
file_read_target(struct worker *w, struct file *file, int64_t size, uint64_t *crc64, struct failure *f)
{
	struct file whole = { .dir = file->dir };
	struct stat st;
	int rc = 0;

	whole.fd = file_openat2(file->dir, file->target, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	if (whole.fd == -1)
		return 0;
	if (fstat(whole.fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == size)
		rc = file_read_back(w, &whole, size, crc64, f) == -1 ? -1 : 1;
	close(whole.fd);
	return rc;
}

int
file_sync(struct worker *w, struct file *file, int64_t size, uint64_t *crc64, struct failure *f)
{
	/* a temporary file that was taken up may be longer than what is in it now */
	if (ftruncate(file->fd, size) == -1 || fsync(file->fd) == -1)
		return failure_errno(f, "destination");
	/* what is read back should come from the disk */
	posix_fadvise(file->fd, 0, 0, POSIX_FADV_DONTNEED);
	return crc64 != NULL ? file_read_back(w, file, size, crc64, f) : 0;
}

int
file_commit(struct file *file, bool replace, bool *exists, struct failure *f)
{
	int dir;

	*exists = false;
	if (renameat2(file->dir, file->temp, file->dir, file->target, replace ? 0 : RENAME_NOREPLACE) == -1) {
		if (errno != EEXIST || replace)
			return failure_errno(f, "destination");
		*exists = true;
		return 0;
	}
	/* an O_PATH descriptor cannot be synced */
	dir = file_openat2(file->dir, ".", O_RDONLY | O_DIRECTORY, 0);
	if (dir == -1 || fsync(dir) == -1)
		failure_errno(f, "destination's directory");
	if (dir != -1)
		close(dir);
	return f->class == CLASS_NONE ? 0 : -1;
}

int
file_abort(struct file *file, struct failure *f)
{
	if (file->temp[0] == '\0')
		return 0;
	if (unlinkat(file->dir, file->temp, 0) == -1 && errno != ENOENT)
		return failure_errno(f, "destination's temporary file");
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
