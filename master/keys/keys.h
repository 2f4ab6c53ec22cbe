/*
 * The keys of stores are renewed while transfers go on.
 *
 * Keys from files are read again when a file has changed: the master looks every few seconds, and
 * when a store has refused the keys.  A change must be a second old, so that no half of a file, and
 * no new access key with an old secret, is taken up.
 *
 * Keys from a command are asked for at start, before they expire, on HUP, and when a store has
 * refused them.  Until the command has given the first, no task of that store starts.
 *
 * New keys are put into the configuration in force and sent to every worker, whose next request
 * uses them.  If keys cannot be renewed, the log says why once, and the old ones stay in use.
 */
#ifndef MASTER_KEYS_KEYS_H
#define MASTER_KEYS_KEYS_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "master/keys/command.h"
#include "master/keys/stamp.h"
#include "master/pool/slot.h"
#include "master/state.h"

struct renewal {
	TAILQ_ENTRY(renewal) entry;
	char store[CONFIG_NAME_MAX];
	bool dropped; /* the configuration has no such store any more */
	int64_t due_at; /* on clock_ms(): the next look or run; 0: none */

	/* Files. */
	struct stamp seen; /* as they were at the last look */
	int64_t settled_at; /* when they are read, unless they change again; 0: they were read */

	/* A command. */
	struct command command;
	int64_t ended_at; /* its last run, on clock_ms(); 0: none */
	int64_t delay_ms; /* after a failure; doubles */

	bool asked; /* a worker waits for an answer */
	char complaint[640]; /* logged: why the keys cannot be renewed; empty: they can */
	int64_t expired; /* logged: that the keys expired then */
};
TAILQ_HEAD(renewals, renewal);

struct keys {
	struct state *state;
	struct pool *pool;
	struct renewals list;
};

/* Needs k->state and k->pool. */
void keys_init(struct keys *k);

/*
 * At start and after a reload: follows the stores of the configuration in force.  Keys of a command
 * are taken over from old, the configuration before, which is NULL at start.
 */
void keys_follow(struct keys *k, const struct config *old);

/* A worker says that a store has refused its keys.  Every worker gets an answer. */
void keys_refused(struct keys *k, const char *store);

/* Looks and asks for the keys that are due. */
void keys_run(struct keys *k);

/* When keys_run() is due, on clock_ms(); 0: not by the clock. */
int64_t keys_deadline(const struct keys *k);

/* Fills in the descriptors, at most max, that bring news for keys_run().  Returns how many. */
#define KEYS_FDS_MAX (2 * CONFIG_STORES_MAX)
nfds_t keys_fill(const struct keys *k, struct pollfd *fds, nfds_t max);

/* Whether a command runs as this process. */
bool keys_have_process(const struct keys *k, pid_t pid);

/* Ends the commands that run. */
void keys_release(struct keys *k);

#endif
