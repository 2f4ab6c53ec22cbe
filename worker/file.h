/*
 * Stores of the kind file.  All paths stay below the store's root, whatever they and the links on their way say
 * (openat2 with RESOLVE_BENEATH).  A new file is written under a temporary name beside its target and takes the target's
 * name when it is whole, verified and on the disk.
 */
#ifndef WORKER_FILE_H
#define WORKER_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"
#include "worker/failure.h"
#include "worker/worker.h"

#define FILE_NAME_SIZE 64

/* A file being written. */
struct file {
	int dir;		    /* the directory that target and temporary file are in */
	int fd;			    /* the temporary file */
	char temp[FILE_NAME_SIZE];  /* ".ferry-<task>-<claim>.tmp" */
	char target[256];	    /* last component of the path */
};

/* Returns a descriptor for reading, or -1 with a failure. */
int file_open_source(const struct config_store *store, const char *path, struct failure *f);

/* Empties file. */
void file_init(struct file *file);

/* Opens the target's directory, with parents made where create says so.  Returns 0 or -1. */
int file_open_dir(struct file *file, const struct config_store *store, const char *path, bool create,
    struct failure *f);

/* Returns 1 and the size of a target that is there, 0 if there is none, -1 with a failure. */
int file_stat_target(const struct file *file, int64_t *size, struct failure *f);

/* Chooses the temporary file's name. */
void file_name_temp(struct file *file, int64_t task, int64_t claim);

/* Opens the temporary file: makes it, or takes up one of that name.  Returns 0, 1 if a file to take up is not there, -1. */
int file_create_temp(struct file *file, struct failure *f);
int file_resume_temp(struct file *file, const char *temp, struct failure *f);

/* Writes all of buf at offset.  Returns 0 or -1. */
int file_write(struct file *file, const char *buf, size_t len, int64_t offset, struct failure *f);

/*
 * Pages that were written or read are charged to us until they are dropped.  file_push() sends a range on its way to the disk;
 * file_drop() waits until it is there and lets go of it.
 */
void file_push(const struct file *file, int64_t offset, int64_t len);
void file_drop(const struct file *file, int64_t offset, int64_t len);

/* The same for what was read, before that offset. */
void file_forget_read(int fd, int64_t before);

/* Puts it on the disk, reads it back into *crc64 in slices with the loop turning, unless crc64 is NULL.  Returns 0 or -1. */
int file_sync(struct worker *w, struct file *file, int64_t size, uint64_t *crc64, struct failure *f);

/* Reads a target of that size into *crc64.  Returns 1, 0 if there is no such one, -1. */
int file_read_target(struct worker *w, struct file *file, int64_t size, uint64_t *crc64, struct failure *f);

/*
 * Gives it the target's name.  replace: over an existing one; else *exists says that there was one, and nothing is changed.
 * Returns 0 or -1.
 */
int file_commit(struct file *file, bool replace, bool *exists, struct failure *f);

/* Removes the temporary file.  Returns 0, also if there is none, or -1. */
int file_abort(struct file *file, struct failure *f);

void file_release(struct file *file);

#endif
