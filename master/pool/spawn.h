/*
 * The mechanism of starting a worker process: socket pair, memory leaf, fork, and in the child
 * nothing but async-signal-safe calls until fexecve().  pool.c decides when.  common/channel.h
 * tells which descriptors and arguments a worker gets.
 */
#ifndef MASTER_POOL_SPAWN_H
#define MASTER_POOL_SPAWN_H

#include <stddef.h>

struct pool;
struct slot;

/*
 * Opens the image of a program, close-on-exec: the configured path, else the one of that name
 * beside us, else the installed one.  The descriptor is for exec alone (O_PATH), since nobody needs
 * to read the image: a process whose program its user may not read cannot be traced by that user,
 * not even before it has forbidden that.  Returns -1 with errno, and the path tried last in path.
 */
int spawn_open_image(const char *configured, const char *name, char *path, size_t path_size);

/* The part of our environment that a worker gets, NULL-terminated; never freed. */
char **spawn_environment(void);

/*
 * Starts a worker in slot, with the configuration in force.  Fills in the slot's process fields and
 * sends CONFIG and STOREs.  Returns 0, or -1 with errno and the failed step in *step.
 */
int spawn_worker(struct pool *p, struct slot *slot, const char **step);

/*
 * What the child could not do between fork and exec, as a sentence in buf; NULL if it reported
 * nothing.
 */
char *spawn_report(struct slot *slot, char *buf, size_t size);

#endif
