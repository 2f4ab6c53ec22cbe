/*
 * One run of a credentials_command.  The program runs as the daemon's account, without a shell, in
 * a process group of its own, with a small environment.  Its standard input and standard error are
 * /dev/null, and its other descriptors are closed.  Nothing here waits for it.
 */
#ifndef MASTER_KEYS_COMMAND_H
#define MASTER_KEYS_COMMAND_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/config/config.h"

#define COMMAND_MAX_MS 30000
#define COMMAND_OUTPUT_MAX (64 << 10) /* bytes */

struct command {
	pid_t pid; /* 0: it does not run */
	int out; /* its standard output; -1: closed */
	int64_t ends_at; /* when it is killed, on clock_ms() */
	char fault[64]; /* why it was killed; empty: it was not */
	char *output; /* COMMAND_OUTPUT_MAX + 1 bytes on the heap */
	size_t len;
};

/*
 * Starts the store's command.  null_fd is /dev/null.  Returns 0, or -1 with why, to follow the
 * program's name.
 */
int command_start(
    struct command *c, const struct config_store *store, int null_fd, char *why, size_t why_size);

static inline bool
command_runs(const struct command *c)
{
	return c->pid != 0;
}

/* The descriptor to poll for its output; -1: only SIGCHLD and the clock bring news. */
int command_fd(const struct command *c);

/* How a look at a running command has ended. */
enum command_end {
	COMMAND_RUNS,
	COMMAND_DONE, /* keys has what it gave */
	COMMAND_FAILED, /* with why */
};

/* Takes in what it has printed, kills it if its time is over, and says whether it has ended. */
enum command_end command_look(
    struct command *c, struct store_keys *keys, char *why, size_t why_size);

/* Kills it.  command_look() takes its end. */
void command_kill(struct command *c);

/* The variables that commands get, NULL-terminated; kept for good. */
char **command_environment(void);

#endif
