/*
 * The mechanism of starting a worker process: socketpair, memory leaf, fork, and in the child nothing but async-signal-safe
 * calls until fexecve().  When to start one is pool.c's.
 *
 * Descriptors of a worker: 0 and 1 /dev/null; 2 our stderr if the log goes there, else /dev/null; 3 the channel; 4 the
 * log file, else /dev/null; nothing else.  Arguments: "ferry-worker" SLOT GENERATION LOG, with LOG "file" (descriptor 4), "stderr" or "syslog".
 */
#ifndef MASTER_SPAWN_H
#define MASTER_SPAWN_H

#include "master/ferryd.h"

#define SPAWN_CHANNEL_FD 3
#define SPAWN_LOG_FD 4

/* The image of ferry-worker, close-on-exec: where the configuration says, else beside us, else the installed one.
 * Returns -1 with the path tried last in path and errno. */
int spawn_open_image(const char *configured, char *path, size_t path_size);

/* What of our environment a worker gets, NULL-terminated; never freed. */
char **spawn_environment(void);

/*
 * Starts a worker in slot, with the configuration in force.  Fills in the slot's process fields and sends CONFIG and STOREs.
 * Returns 0, or -1 with errno and in *step what could not be done.
 */
int spawn_worker(struct master *m, struct slot *slot, const char **step);

/* What the child could not do between fork and exec, as a sentence in buf; NULL if it reported nothing. */
char *spawn_report(struct slot *slot, char *buf, size_t size);

#endif
