/*
 * Starts worker processes.  Owns the way from a slot to a running ferry-worker that has been sent its configuration.
 */
#include "master/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "master/child.h"
#include "master/lease.h"
#include "master/post.h"

#define SILENCE_SLACK_MS 60000 /* beyond the stall timeout, a busy worker that says nothing is hung */

extern char **environ;

int
spawn_open_image(const char *configured, char *path, size_t path_size)
{
	char self[CONFIG_PATH_MAX], *slash;
	ssize_t len;
	int fd;

	if (configured[0] != '\0') {
		strlcpy(path, configured, path_size);
		return open(path, O_RDONLY | O_CLOEXEC);
	}
	len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (len > 0) {
		self[len] = '\0';
		slash = strrchr(self, '/');
		if (slash != NULL) {
			*slash = '\0';
			snprintf(path, path_size, "%s/ferry-worker", self);
			fd = open(path, O_RDONLY | O_CLOEXEC);
			if (fd != -1)
				return fd;
		}
	}
	strlcpy(path, FERRY_LIBEXECDIR "/ferry-worker", path_size);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/*
 * libpq's variables (PGPASSFILE, PGSSLROOTCERT, …) because a worker opens the same database; certificates and time zone; what
 * the loader and sanitizers look at.  No proxies, nobody's tokens.
 */
static bool
is_passed_on(const char *variable)
{
	static const char *const names[] = { "PATH=", "HOME=", "TZ=", "PG", "SSL_CERT_FILE=", "SSL_CERT_DIR=",
		"LD_LIBRARY_PATH=", "ASAN_OPTIONS=", "UBSAN_OPTIONS=", "LSAN_OPTIONS=" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strncmp(variable, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

char **
spawn_environment(void)
{
	static char *envp[128];
	size_t i, n = 0;

	/* setproctitle() moves environ when it is called first; these strings stay where they are. */
	for (i = 0; environ[i] != NULL && n < sizeof(envp) / sizeof(envp[0]) - 1; i++)
		if (is_passed_on(environ[i]) && (envp[n] = strdup(environ[i])) != NULL)
			n++;
	envp[n] = NULL;
	return envp;
}

static void
send_configuration(struct master *m, struct slot *slot)
{
	struct msg msg = { .type = MSG_CONFIG };
	int i;

	msg.config.nstores = m->conf->nstores;
	msg.config.node = m->queue.node;
	msg.config.memory_backend = cap_backend(m->cap);
	strlcpy(msg.config.peak_file, slot->leaf.peak_file, sizeof(msg.config.peak_file));
	msg.config.worker = m->conf->worker;
	post_send(slot, &msg, -1);
	for (i = 0; i < m->conf->nstores; i++) {
		msg.type = MSG_STORE;
		msg.store.store = m->conf->stores[i];
		post_send(slot, &msg, -1);
	}
	explicit_bzero(&msg, sizeof(msg));
	lease_tell(m, slot);
}

static pid_t
fork_child(struct master *m, struct slot *slot, int channel, int report)
{
	char number[16], generation[24];
	static char program[] = "ferry-worker", file[] = "file", to_stderr[] = "stderr", to_syslog[] = "syslog";
	char *argv[] = { program, number, generation, file, NULL };
	struct child_plan plan = {
		.channel = channel, .log = -1, .null = m->null_fd, .image = m->image_fd, .procs = slot->leaf.procs,
		.report = report, .argv = argv, .envp = m->environment,
	};
	pid_t pid;

	snprintf(number, sizeof(number), "%d", slot->number);
	snprintf(generation, sizeof(generation), "%" PRIu64, slot->generation);
	if (log_fd() == LOG_FD_SYSLOG)
		argv[3] = to_syslog;
	else if (log_fd() == STDERR_FILENO)
		argv[3] = to_stderr;
	else
		plan.log = log_fd();
	plan.keep_stderr = argv[3] == to_stderr;
	if (cap_backend(m->cap) == MEMORY_RLIMIT)
		plan.data_limit = m->conf->worker.memory;
	pid = fork();
	if (pid == 0)
		child_run(&plan);
	return pid;
}

int
spawn_worker(struct master *m, struct slot *slot, const char **step)
{
	int pair[2], report[2], saved;
	pid_t pid;

	slot->generation = ++m->pool.generation;
	*step = "a socket pair";
	if (channel_pair(pair) == -1)
		return -1;
	*step = "a pipe";
	if (pipe2(report, O_CLOEXEC | O_NONBLOCK) == -1)
		goto err1;
	*step = "a memory cgroup";
	if (cap_leaf_create(m->cap, slot->number, slot->generation, m->conf->worker.memory, &slot->leaf) == -1)
		goto err2;
	*step = "fork";
	pid = fork_child(m, slot, pair[1], report[1]);
	if (pid == -1)
		goto err3;
	close(pair[1]);
	close(report[1]);
	cap_leaf_close(&slot->leaf);
	slot->pid = pid;
	slot->pidfd = pidfd_open(pid, 0); /* where there is none, SIGCHLD says the same */
	slot->channel = pair[0];
	slot->report = report[0];
	slot->conf_generation = m->conf_generation;
	slot->memory = m->conf->worker.memory;
	slot->silence_ms = m->conf->worker.stall_timeout_ms + SILENCE_SLACK_MS;
	slot->started_at = slot->heard_at = clock_ms();
	slot->max_tasks = m->conf->worker.max_tasks;
	slot->expires_at = m->conf->worker.max_age_ms > 0 ? slot->started_at + m->conf->worker.max_age_ms : 0;
	send_configuration(m, slot);
	return 0;

err3:
	saved = errno;
	cap_leaf_remove(m->cap, &slot->leaf);
	errno = saved;
err2:
	saved = errno;
	close(report[0]);
	close(report[1]);
	errno = saved;
err1:
	saved = errno;
	close(pair[0]);
	close(pair[1]);
	errno = saved;
	return -1;
}

char *
spawn_report(struct slot *slot, char *buf, size_t size)
{
	struct child_report report;

	if (slot->report == -1 || read(slot->report, &report, sizeof(report)) != (ssize_t)sizeof(report))
		return NULL;
	snprintf(buf, size, "%s: %s", child_step_name(report.step), strerror(report.error));
	return buf;
}
