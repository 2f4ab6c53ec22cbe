/*
 * ferryd: the supervisor.  Options, sanity, resources, the loop, and tearing down in reverse.
 */
#include <bsd/libutil.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/log.h"
#include "master/daemon.h"
#include "master/ferryd.h"
#include "master/life.h"
#include "master/loop.h"
#include "master/notify.h"
#include "master/pool.h"
#include "master/queue.h"
#include "master/results.h"
#include "master/settle.h"
#include "master/signals.h"
#include "master/spawn.h"
#include "master/stock.h"

#define DEFAULT_FILE FERRY_SYSCONFDIR "/ferryd.conf"

struct options {
	const char *file;
	bool foreground;
	bool test;
	bool dump;
};

static void __attribute__((noreturn))
usage(FILE *out, int code)
{
	fprintf(out, "usage: ferryd [-dhtTV] [-f file]\n"
	    "  -d         stay in the foreground and log to standard error\n"
	    "  -f file    the configuration, by default " DEFAULT_FILE "\n"
	    "  -t, -T     test the configuration; print what is in force, secrets masked\n"
	    "  -h, -V     print this; the version\n");
	exit(code);
}

static struct options
parse_options(int argc, char **argv)
{
	static const struct option names[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	struct options o = { .file = DEFAULT_FILE };
	int c;

	while ((c = getopt_long(argc, argv, "df:htTV", names, NULL)) != -1) {
		switch (c) {
		case 'd':
			o.foreground = true;
			break;
		case 'f':
			o.file = optarg;
			break;
		case 'h':
			usage(stdout, 0);
		case 't':
			o.test = true;
			break;
		case 'T':
			o.dump = true;
			break;
		case 'V':
			printf("ferryd %s\n", FERRY_VERSION);
			exit(0);
		default:
			usage(stderr, EX_USAGE);
		}
	}
	if (optind != argc)
		usage(stderr, EX_USAGE);
	return o;
}

static struct config *
load(const struct options *o)
{
	char why[1024], *path;
	struct config *conf;

	/* A daemon's directory is /: what HUP reads again has to be named from there. */
	path = realpath(o->file, NULL);
	conf = config_load(path != NULL ? path : o->file, why, sizeof(why));
	free(path);
	if (conf == NULL) {
		fprintf(stderr, "%s\n", why);
		exit(EX_CONFIG);
	}
	if (o->dump)
		config_dump(conf, stdout);
	else if (o->test)
		printf("%s: ok\n", o->file);
	if (o->test && config_workers_most(conf) < conf->workers)
		fprintf(stderr, "%s: warning: workers is %d, of which memory_total holds %d\n", o->file, conf->workers,
		    config_workers_most(conf));
	if (o->dump || o->test) {
		config_free(conf);
		exit(0);
	}
	return conf;
}

/* Before the loop runs, an error is for the terminal, for the log, and for whoever waits for the start. */
static void __attribute__((format(printf, 3, 4), noreturn))
die(struct master *m, int code, const char *fmt, ...)
{
	char text[3 * CONFIG_PATH_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	life_fail(m, code, "%s", text);
	daemon_failed(m->ready_fd, code);
	exit(code);
}

/* Core dumps would hold the stores' secrets. */
static void
harden(void)
{
	struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
#ifndef __SANITIZE_ADDRESS__
	/* The sanitizers' leak check attaches to its own process, which this forbids. */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
	umask(022);
}

static struct pidfh *
take_pidfile(struct master *m)
{
	struct pidfh *pidfile;
	pid_t other = 0;

	pidfile = pidfile_open(m->conf->pidfile, 0644, &other);
	if (pidfile != NULL)
		return pidfile;
	if (errno == EEXIST)
		die(m, EX_TEMPFAIL, "already running: pid %d (pidfile %s)", (int)other, m->conf->pidfile);
	die(m, EX_CANTCREAT, "pidfile %s: %s", m->conf->pidfile, strerror(errno));
}

static void
open_log(struct master *m, const struct daemon_user *user)
{
	log_set_max_priority(strcmp(m->conf->log_level, "debug") == 0 ? LOG_DEBUG : LOG_INFO);
	if (m->foreground)
		return;
	if (log_open(m->conf->log) == -1)
		die(m, EX_CANTCREAT, "log %s: %s", m->conf->log, strerror(errno));
	if (user->change && log_fd() > STDERR_FILENO && fchown(log_fd(), user->uid, user->gid) == -1)
		log_warn("log %s: chown to %s: %s", m->conf->log, user->name, strerror(errno));
}

static void
open_cap(struct master *m, const struct daemon_user *user)
{
	char why[2 * CONFIG_PATH_MAX + 512];

	m->cap = cap_open("", m->conf->memory_backend, m->conf->cgroup, getpid(), why, sizeof(why));
	if (m->cap == NULL)
		die(m, EX_CONFIG, "memory_backend = %s does not work here: %s", memory_backend_name(m->conf->memory_backend), why);
	if (user->change && cap_chown(m->cap, user->uid, user->gid) == -1)
		die(m, EX_OSERR, "cgroup: chown to %s: %s", user->name, strerror(errno));
	if (why[0] != '\0')
		log_info("memory caps by %s (%s)", memory_backend_name(cap_backend(m->cap)), why);
	else
		log_info("memory caps by %s", memory_backend_name(cap_backend(m->cap)));
}

static void
become_user(struct master *m, const struct daemon_user *user)
{
	if (geteuid() == 0 && !user->change)
		log_warn("running as root, and so do the workers: set user in %s", m->conf->file);
	if (daemon_become(user) == -1)
		die(m, EX_NOPERM, "becoming user %s: %s", user->name, strerror(errno));
}

/* What has to be opened before root is given up.  The order is that of dependence; main() closes in reverse. */
static struct pidfh *
open_resources(struct master *m)
{
	struct daemon_user user;
	struct pidfh *pidfile;
	char image[CONFIG_PATH_MAX];

	if (daemon_find_user(m->conf->user, &user) == -1)
		die(m, EX_NOUSER, "user %s does not exist", m->conf->user);
	m->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (m->null_fd == -1)
		die(m, EX_OSFILE, "/dev/null: %s", strerror(errno));
	m->image_fd = spawn_open_image(m->conf->worker_program, image, sizeof(image));
	if (m->image_fd == -1)
		die(m, EX_OSFILE, "worker program %s: %s", image, strerror(errno));
	pidfile = take_pidfile(m);
	open_log(m, &user);
	open_cap(m, &user);
	become_user(m, &user);
	pidfile_write(pidfile);
	m->signal_fd = signals_open();
	if (m->signal_fd == -1)
		die(m, EX_OSERR, "signals: %s", strerror(errno));
	return pidfile;
}

static void
close_resources(struct master *m, struct pidfh *pidfile)
{
	stock_discard(m);
	results_discard(m);
	settle_discard(m);
	queue_close(m);
	notify_close();
	close(m->signal_fd);
	cap_close(m->cap);
	pidfile_remove(pidfile);
	close(m->image_fd);
	close(m->null_fd);
	config_free(m->conf);
}

int
main(int argc, char **argv, char **envp)
{
	static struct master m = { .ready_fd = -1, .conf_generation = 1 };
	struct options o;
	struct pidfh *pidfile;

	closefrom(STDERR_FILENO + 1); /* whatever our starter left open is not ours to keep */
	log_init("ferryd", -1);
	o = parse_options(argc, argv);
	m.conf = load(&o);
	m.foreground = o.foreground;
	m.environment = spawn_environment();
	setproctitle_init(argc, argv, envp);
	harden();
	notify_open();
	if (!m.foreground)
		m.ready_fd = daemon_start();
	pidfile = open_resources(&m);
	pool_init(&m);
	queue_open(&m);

	loop_run(&m);

	if (m.exit_code == 0)
		log_info("ferryd ends");
	/* Whoever still waits for the start: it was stopped before it was up. */
	daemon_failed(m.ready_fd, m.exit_code != 0 ? m.exit_code : EX_UNAVAILABLE);
	close_resources(&m, pidfile);
	return m.exit_code;
}
