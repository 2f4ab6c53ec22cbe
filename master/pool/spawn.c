#include "master/pool/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "master/pool/child.h"
#include "master/pool/lease.h"
#include "master/pool/outbox.h"
#include "master/pool/slot.h"

/* A busy worker that sends nothing for so long beyond the stall timeout is hung. */
#define SILENCE_SLACK_MS 60000

extern char **environ;

/* [0] is ours, [1] the child's. */
struct ends {
	int channel[2];
	int report[2]; /* tells what failed between fork and exec */
};

int
spawn_open_image(const char *configured, const char *name, char *path, size_t path_size)
{
	char self[CONFIG_PATH_MAX], *slash;
	ssize_t len;
	int fd;

	if (configured[0] != '\0') {
		strlcpy(path, configured, path_size);
		return open(path, O_PATH | O_CLOEXEC);
	}
	len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (len > 0) {
		self[len] = '\0';
		slash = strrchr(self, '/');
		if (slash != NULL) {
			*slash = '\0';
			snprintf(path, path_size, "%s/%s", self, name);
			fd = open(path, O_PATH | O_CLOEXEC);
			if (fd != -1)
				return fd;
		}
	}
	snprintf(path, path_size, FERRY_LIBEXECDIR "/%s", name);
	return open(path, O_PATH | O_CLOEXEC);
}

/*
 * A worker opens the same database, so it gets the variables of libpq (PGPASSFILE, PGSSLROOTCERT,
 * …).  It also gets those of certificates, the time zone, the loader and the sanitizers.  It gets
 * no proxies and no tokens.
 */
static bool
is_passed_on(const char *variable)
{
	static const char *const names[] = { "PATH=", "HOME=", "TZ=", "PG",
		"SSL_CERT_FILE=", "SSL_CERT_DIR=", "LD_LIBRARY_PATH=", "ASAN_OPTIONS=",
		"UBSAN_OPTIONS=", "LSAN_OPTIONS=", "JOURNAL_STREAM=" };
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

	/* The first call of setproctitle() moves environ.  The copies stay where they are. */
	for (i = 0; environ[i] != NULL && n < sizeof(envp) / sizeof(envp[0]) - 1; i++)
		if (is_passed_on(environ[i]) && (envp[n] = strdup(environ[i])) != NULL)
			n++;
	envp[n] = NULL;
	return envp;
}

static void
send_configuration(const struct pool *p, struct slot *slot)
{
	const struct config *conf = p->state->conf;
	struct msg msg = { .type = MSG_CONFIG };
	int i;

	msg.config.nstores = conf->nstores;
	msg.config.node = p->lease.node;
	msg.config.memory_backend = cap_backend(p->cap);
	strlcpy(msg.config.peak_file, slot->leaf.peak_file, sizeof(msg.config.peak_file));
	msg.config.worker = conf->worker;
	outbox_send(slot, &msg, -1);
	for (i = 0; i < conf->nstores; i++) {
		msg.type = MSG_STORE;
		msg.store.store = conf->stores[i];
		outbox_send(slot, &msg, -1);
	}
	explicit_bzero(&msg, sizeof(msg));
	lease_tell(p, slot);
}

static pid_t
fork_child(const struct pool *p, struct slot *slot, const struct ends *ends)
{
	char number[16], generation[24];
	static char program[] = "ferry-worker", file[] = WORKER_LOG_FILE,
		    to_stderr[] = WORKER_LOG_STDERR, to_syslog[] = WORKER_LOG_SYSLOG;
	char *argv[] = { program, number, generation, file, NULL };
	struct child_plan plan = {
		.channel = ends->channel[1],
		.log = -1,
		.null = p->null_fd,
		.image = p->image_fd,
		.procs = slot->leaf.procs,
		.report = ends->report[1],
		.argv = argv,
		.envp = p->environment,
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
	if (cap_backend(p->cap) == MEMORY_RLIMIT)
		plan.data_limit = p->state->conf->worker.memory;
	pid = fork();
	if (pid == 0)
		child_run(&plan);
	return pid;
}

static void
close_both(const int fds[2])
{
	int saved = errno;

	close(fds[0]);
	close(fds[1]);
	errno = saved;
}

/* Opens what the process needs and forks.  Returns its pid, or -1 with errno. */
static pid_t
start_process(struct pool *p, struct slot *slot, struct ends *ends, const char **step)
{
	int64_t memory = p->state->conf->worker.memory;
	pid_t pid;
	int saved;

	*step = "a socket pair";
	if (channel_pair(ends->channel) == -1)
		return -1;
	*step = "a pipe";
	if (pipe2(ends->report, O_CLOEXEC | O_NONBLOCK) == -1)
		goto err1;
	*step = "a memory cgroup";
	if (cap_leaf_create(p->cap, slot->number, slot->generation, memory, &slot->leaf) == -1)
		goto err2;
	*step = "fork";
	pid = fork_child(p, slot, ends);
	if (pid == -1)
		goto err3;
	close(ends->channel[1]);
	close(ends->report[1]);
	cap_leaf_close(&slot->leaf);
	return pid;

err3:
	saved = errno;
	cap_leaf_remove(p->cap, &slot->leaf);
	errno = saved;
err2:
	close_both(ends->report);
err1:
	close_both(ends->channel);
	return -1;
}

int
spawn_worker(struct pool *p, struct slot *slot, const char **step)
{
	const struct config_worker *worker = &p->state->conf->worker;
	struct ends ends;
	pid_t pid;

	slot->generation = ++p->generation;
	pid = start_process(p, slot, &ends, step);
	if (pid == -1)
		return -1;
	slot->pid = pid;
	slot->pidfd = pidfd_open(pid, 0); /* if there is none, SIGCHLD tells of its end */
	slot->channel = ends.channel[0];
	slot->report = ends.report[0];
	slot->conf_generation = p->state->conf_generation;
	slot->memory = worker->memory;
	slot->silence_ms = worker->stall_timeout_ms + SILENCE_SLACK_MS;
	slot->started_at = slot->heard_at = clock_ms();
	slot->max_tasks = worker->max_tasks;
	slot->expires_at = worker->max_age_ms > 0 ? slot->started_at + worker->max_age_ms : 0;
	send_configuration(p, slot);
	return 0;
}

char *
spawn_report(struct slot *slot, char *buf, size_t size)
{
	struct child_report report;

	if (slot->report == -1 ||
	    read(slot->report, &report, sizeof(report)) != (ssize_t)sizeof(report))
		return NULL;
	snprintf(buf, size, "%s: %s", child_step_name(report.step), strerror(report.error));
	return buf;
}
