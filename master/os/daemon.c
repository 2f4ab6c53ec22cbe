#include "master/os/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/log.h"

/* The starter waits here.  If it gets no byte, the daemon has died. */
static void
wait_for_daemon(int fd, pid_t middle)
{
	unsigned char code = EX_SOFTWARE;
	ssize_t n;

	while (waitpid(middle, NULL, 0) == -1 && errno == EINTR)
		continue;
	do
		n = read(fd, &code, 1);
	while (n == -1 && errno == EINTR);
	_exit(code);
}

int
daemon_start(void)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) == -1)
		fatal(EX_OSERR, "pipe: %s", strerror(errno));
	pid = fork();
	if (pid == -1)
		fatal(EX_OSERR, "fork: %s", strerror(errno));
	if (pid > 0) {
		close(fds[1]);
		wait_for_daemon(fds[0], pid);
	}
	close(fds[0]);
	/* The leader of a session exits; its child can never get a terminal. */
	setsid();
	pid = fork();
	if (pid == -1)
		fatal(EX_OSERR, "fork: %s", strerror(errno));
	if (pid > 0)
		_exit(0);
	if (chdir("/") == -1)
		fatal(EX_OSERR, "chdir /: %s", strerror(errno));
	return fds[1];
}

static void
tell(int fd, unsigned char code)
{
	ssize_t ignored = write(fd, &code, 1);

	(void)ignored; /* a starter that was interrupted does not read it */
	close(fd);
}

void
daemon_ready(int ready_fd, bool detach)
{
	int null;

	if (ready_fd == -1)
		return;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null != -1) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		if (detach)
			dup2(null, STDERR_FILENO);
		if (null > STDERR_FILENO)
			close(null);
	}
	tell(ready_fd, 0);
}

void
daemon_failed(int ready_fd, int code)
{
	if (ready_fd != -1)
		tell(ready_fd, (unsigned char)code);
}

int
daemon_find_user(const char *name, struct daemon_user *user)
{
	struct passwd *pw;

	memset(user, 0, sizeof(*user));
	if (geteuid() != 0 || name[0] == '\0')
		return 0;
	pw = getpwnam(name);
	if (pw == NULL)
		return -1;
	user->change = pw->pw_uid != 0;
	user->uid = pw->pw_uid;
	user->gid = pw->pw_gid;
	strlcpy(user->name, name, sizeof(user->name));
	strlcpy(user->home, pw->pw_dir, sizeof(user->home));
	return 0;
}

int
daemon_borrow(const struct daemon_user *user)
{
	if (!user->change)
		return 0;
	if (initgroups(user->name, user->gid) == -1 || setegid(user->gid) == -1)
		return -1;
	return seteuid(user->uid);
}

int
daemon_return(const struct daemon_user *user)
{
	if (!user->change)
		return 0;
	return seteuid(0) == -1 ? -1 : setegid(0);
}

bool
daemon_rules_directory(const struct daemon_user *user, const char *path)
{
	char copy[PATH_MAX];
	bool rules;

	strlcpy(copy, path, sizeof(copy));
	if (daemon_borrow(user) == -1)
		return false;
	rules = faccessat(AT_FDCWD, dirname(copy), W_OK, AT_EACCESS) == 0;
	return daemon_return(user) == 0 && rules;
}

int
daemon_become(const struct daemon_user *user)
{
	if (!user->change)
		return 0;
	if (initgroups(user->name, user->gid) == -1)
		return -1;
	if (setresgid(user->gid, user->gid, user->gid) == -1 ||
	    setresuid(user->uid, user->uid, user->uid) == -1)
		return -1;
	return setenv("HOME", user->home, 1);
}
