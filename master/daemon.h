/*
 * Becoming a daemon, and becoming somebody else.
 */
#ifndef MASTER_DAEMON_H
#define MASTER_DAEMON_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Forks twice.  Returns in the daemon with a descriptor for daemon_ready().  The starter waits until then and exits with 0, or
 * with the daemon's exit code if that ends before.  Ends the process if it cannot.
 */
int daemon_start(void);

/* Lets the starter go (ready_fd -1: there is none).  detach also gives up the terminal: 0, 1, 2 become /dev/null. */
void daemon_ready(int ready_fd, bool detach);

/* Tells the starter an exit code other than 0. */
void daemon_failed(int ready_fd, int code);

struct daemon_user {
	bool change; /* false: stay who we are */
	char name[64];
	uid_t uid;
	gid_t gid;
};

/* Who the configuration wants us to be.  Returns 0, or -1 if there is no such user. */
int daemon_find_user(const char *name, struct daemon_user *user);

/* Gives up root for good.  Returns 0, or -1 with errno. */
int daemon_become(const struct daemon_user *user);

#endif
