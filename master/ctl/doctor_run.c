/*
 * Runs the programs that know what ferryctl does not: ferryd and ferry-worker.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/channel.h"
#include "master/ctl/doctor.h"

char *
doctor_beside(const char *name, char *buf, size_t size)
{
	char self[CONFIG_PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	self[len > 0 ? len : 0] = '\0';
	if ((slash = strrchr(self, '/')) != NULL)
		*slash = '\0';
	snprintf(buf, size, "%s/%s", self, name);
	return buf;
}

/* Copies a descriptor to a number above those that the child gives a meaning. */
static int
lift(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, WORKER_LOG_FD + 1);
}

/* The child's side. */
static void __attribute__((noreturn)) become(const struct doctor_program *program, int out)
{
	int high = lift(out), channel = program->channel != -1 ? lift(program->channel) : -1;

	dup2(high, STDOUT_FILENO);
	if (program->errors)
		dup2(high, STDERR_FILENO);
	if (channel != -1)
		dup2(channel, WORKER_CHANNEL_FD);
	execv(program->path, program->argv);
	_exit(127);
}

static void
read_lines(struct doctor *d, int fd, doctor_take *take)
{
	FILE *in = fdopen(fd, "r");
	char *line = NULL;
	size_t size = 0;
	ssize_t len;

	while (in != NULL && (len = getline(&line, &size, in)) > 0) {
		if (line[len - 1] == '\n')
			line[len - 1] = '\0';
		take(d, line);
	}
	free(line);
	if (in != NULL)
		fclose(in);
	else
		close(fd);
}

int
doctor_run(struct doctor *d, const struct doctor_program *program, doctor_take *take)
{
	int fds[2], status = 0;
	pid_t pid;

	if (access(program->path, X_OK) == -1 || pipe2(fds, O_CLOEXEC) == -1) {
		doctor_tell(d, DOCTOR_FAIL, program->name,
		    "%s cannot be run: %s; this account must be able to execute it", program->path,
		    strerror(errno));
		if (program->channel != -1)
			close(program->channel);
		return -1;
	}
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		become(program, fds[1]);
	close(fds[1]);
	if (program->channel != -1)
		close(program->channel);
	read_lines(d, fds[0], take);
	while (pid > 0 && waitpid(pid, &status, 0) == -1 && errno == EINTR)
		continue;
	return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 126;
}
