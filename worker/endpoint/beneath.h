/*
 * Opening files and directories of a store of the kind file, and whose trouble a failure is.
 * openat2() with RESOLVE_BENEATH keeps every path below the store's root, whatever the path and the
 * links on its way say.
 *
 * A root or a directory that is missing, closed to us or read-only is the store's trouble: it may
 * be a mount that is late, so the task is tried again.  A path that can never be right is the
 * task's.
 */
#ifndef WORKER_ENDPOINT_BENEATH_H
#define WORKER_ENDPOINT_BENEATH_H

#include <stdbool.h>

#include "common/config/config.h"
#include "worker/base/failure.h"

/* Names of files that are being written begin so.  No task may name one. */
#define BENEATH_OWN ".ferry-"

/* Opens path below dir, close-on-exec.  With O_CREAT use beneath_make(). */
int beneath_open(int dir, const char *path, int flags);

/* Makes a new file of exactly this mode in dir, and opens it for reading and writing. */
int beneath_make(int dir, const char *name, mode_t mode);

/*
 * Refuses a path that has a component which begins with BENEATH_OWN.  what: "source" or
 * "destination".  Returns 0, or -1 with a failure.
 */
int beneath_check(const char *path, const char *what, struct failure *f);

/* Opens the store's root.  Returns a descriptor, or -1 with a failure. */
int beneath_root(const struct config_store *store, struct failure *f);

/*
 * Opens the directory of a destination's path so that it can be synced.  With create, makes the
 * directories that are missing, and syncs those that they are in.  Returns a descriptor, or -1 with
 * a failure.
 */
int beneath_directory(
    const struct config_store *store, const char *path, bool create, struct failure *f);

/* Opens a source for reading.  Returns a descriptor, or -1 with a failure. */
int beneath_source(const struct config_store *store, const char *path, struct failure *f);

/*
 * Sets the failure by errno of an operation on the file at path, or on its directory, with store
 * and path in the text: "what (store spool, /srv/spool/a): ...".  Returns -1.
 */
int beneath_fail(
    const struct config_store *store, const char *path, const char *what, struct failure *f);

#endif
