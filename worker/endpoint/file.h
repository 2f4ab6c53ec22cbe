/*
 * Files as destinations.  A new file is written under a temporary name in the destination's
 * directory, and gets its own name when it is whole, verified and on the disk.  beneath.h opens
 * what lies below the store's root.
 */
#ifndef WORKER_ENDPOINT_FILE_H
#define WORKER_ENDPOINT_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/config/config.h"
#include "worker/base/failure.h"
#include "worker/worker.h"

#define FILE_NAME_SIZE 64

/* A file that is being written. */
struct file {
	/* What the task names, for failures. */
	const struct config_store *store;
	const char *path;

	/* Open descriptors, -1: closed. */
	int dir; /* the directory of both names */
	int fd; /* the temporary file */

	/* Names in the directory. */
	char temp[FILE_NAME_SIZE]; /* ".ferry-<task>-<claim>.tmp" */
	char name[256]; /* last component of the destination's path */
};

/* Whether a name leads to a file. */
enum file_found {
	FILE_FAILED = -1, /* with a failure */
	FILE_ABSENT,
	FILE_FOUND,
};

/* What has become of the temporary file. */
enum file_end {
	FILE_LEFT = -1, /* with a failure */
	FILE_STOLEN, /* with a failure: its name leads to a file that is not ours */
	FILE_EXISTS, /* there is a file that must not be replaced; nothing has changed */
	FILE_MADE, /* it has its name, on the disk too */
};

/* Empties file. */
void file_init(struct file *file);

/*
 * Opens the directory of path, and takes the file's name from it.  With create, makes the
 * directories that are missing.  path stays in use.  Returns 0, or -1 with a failure.
 */
int file_open_dir(struct file *file, const struct config_store *store, const char *path,
    bool create, struct failure *f);

/* Looks whether the destination has a file.  Fails if a directory has that name. */
enum file_found file_look(const struct file *file, struct failure *f);

/* Chooses the temporary file's name. */
void file_name_temp(struct file *file, int64_t task, int64_t claim);

/* Makes the temporary file, with the store's file_mode, and opens it.  Returns 0, or -1 with a
 * failure. */
int file_create_temp(struct file *file, struct failure *f);

/* Opens the temporary file that an earlier attempt has made. */
enum file_found file_resume_temp(struct file *file, const char *temp, struct failure *f);

/* Writes all of buf at offset.  Returns 0, or -1 with a failure. */
int file_write(struct file *file, const char *buf, size_t len, int64_t offset, struct failure *f);

/*
 * The kernel charges our memory for pages that were read or written until they are dropped.
 * file_push() starts writing a range to the disk.  file_drop() waits for that, and drops the pages.
 */
void file_push(const struct file *file, int64_t offset, int64_t len);
void file_drop(const struct file *file, int64_t offset, int64_t len);

/* Drops pages that were read, before that offset. */
void file_forget_read(int fd, int64_t before);

/*
 * Cuts the temporary file to size, gives it the mode and where possible the owner of the file that
 * it is to replace, if there is one, and waits until it is on the disk.  Unless crc64 is NULL,
 * reads it back from there into *crc64; the loop turns meanwhile.  Returns 0 or -1.
 */
int file_sync(
    struct worker *w, struct file *file, int64_t size, uint64_t *crc64, struct failure *f);

/*
 * Reads the destination's file into *crc64, and waits until its name is on the disk.  A file of
 * another size counts as absent.
 */
enum file_found file_read_whole(
    struct worker *w, struct file *file, int64_t size, uint64_t *crc64, struct failure *f);

/*
 * Gives the temporary file its name, if it still is the file that was written.  Only with replace
 * does it take the place of an existing file.
 */
enum file_end file_commit(struct file *file, bool replace, struct failure *f);

/*
 * Removes the temporary file, unless it is open and another file has its name.  Returns 0, also if
 * it does not exist, or -1.
 */
int file_abort(struct file *file, struct failure *f);

/* Closes what is open, and empties file. */
void file_release(struct file *file);

#endif
