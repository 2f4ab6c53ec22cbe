/*
 * Becoming a daemon: forks, session, terminal, user.
 */
#ifndef MASTER_OS_DAEMON_H
#define MASTER_OS_DAEMON_H

#include <stdbool.h>
#include <limits.h>
#include <sys/types.h>

/*
 * Forks twice.  Returns in the daemon with a descriptor for daemon_ready().  The starter waits
 * until then and exits with 0.  If the daemon ends before, the starter exits with its exit code.  A
 * failure here ends the process.
 */
int daemon_start(void);

/*
 * Tells the starter to exit (ready_fd -1: there is none).  Descriptors 0 and 1 become /dev/null,
 * and so does 2 if detach is set.
 */
void daemon_ready(int ready_fd, bool detach);

/* Tells the starter an exit code other than 0. */
void daemon_failed(int ready_fd, int code);

struct daemon_user {
	bool change; /* false: we keep our user */
	char name[64];
	char home[PATH_MAX]; /* where libpq looks for certificates and passwords */
	uid_t uid;
	gid_t gid;
};

/* Finds the user of the configuration.  Returns 0, or -1 if there is no such user. */
int daemon_find_user(const char *name, struct daemon_user *user);

/*
 * Acts with that user's rights to files until daemon_return(), so that no symbolic or hard link in
 * a directory of the user's leads root to another's file.  Return 0, or -1 with errno.
 */
int daemon_borrow(const struct daemon_user *user);
int daemon_return(const struct daemon_user *user);

/* Whether that user may make and replace files in the directory of path. */
bool daemon_rules_directory(const struct daemon_user *user, const char *path);

/* Becomes that user for good, with its HOME.  Returns 0, or -1 with errno. */
int daemon_become(const struct daemon_user *user);

#endif
