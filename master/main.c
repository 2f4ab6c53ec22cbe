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
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/log.h"
#include "master/account.h"
#include "master/events.h"
#include "master/loop.h"
#include "master/master.h"
#include "master/os/daemon.h"
#include "master/os/notify.h"
#include "master/os/sandbox.h"
#include "master/os/signals.h"
#include "master/phase.h"
#include "master/pool/pool.h"
#include "master/pool/spawn.h"
#include "master/queue/deaths.h"
#include "master/queue/done.h"
#include "master/queue/stock.h"

#define DEFAULT_FILE FERRY_SYSCONFDIR "/ferryd.conf"

#define NO_USER "user %s does not exist; make it with useradd --system %s, or set user in %s"

struct options {
	const char *file;
	bool foreground;
	bool test;
	bool dump;
};

static void __attribute__((noreturn)) usage(FILE *out, int code)
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

/* For -t: faults make *arg true. */
static void
tell_terminal(void *arg, enum account_weight weight, const char *text)
{
	if (weight == ACCOUNT_NOTE)
		printf("note: %s\n", text);
	else
		fprintf(stderr, "%s: %s\n", weight == ACCOUNT_FAULT ? "fault" : "warning", text);
	if (weight == ACCOUNT_FAULT)
		*(bool *)arg = true;
}

static int
judge(const struct config *conf, bool foreground, const struct daemon_user *user)
{
	bool faulty = false;

	if (daemon_become(user) == -1) {
		fprintf(stderr, "becoming user %s: %s\n", user->name, strerror(errno));
		return EX_NOPERM;
	}
	account_check(conf, tell_terminal, &faulty);
	account_check_opened(conf, foreground, tell_terminal, &faulty);
	return fflush(stdout) != 0 ? EX_IOERR : faulty ? EX_CONFIG : 0;
}

/* For -t: judges in a child, as the account that a daemon would become.  Returns the exit code. */
static int
judge_as_user(const struct config *conf, bool foreground)
{
	struct daemon_user user;
	int status = 0;
	pid_t pid;

	if (daemon_find_user(conf->user, &user) == -1) {
		fprintf(stderr, "fault: " NO_USER "\n", conf->user, conf->user, conf->file);
		return EX_NOUSER;
	}
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(judge(conf, foreground, &user));
	while (pid > 0 && waitpid(pid, &status, 0) == -1 && errno == EINTR)
		continue;
	return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : EX_OSERR;
}

static struct config *
load(const struct options *o)
{
	char why[1024], *path;
	struct config *conf;
	int code = 0;

	/* A daemon's directory is /, and HUP reads the file again from there. */
	path = realpath(o->file, NULL);
	conf = config_load(path != NULL ? path : o->file, why, sizeof(why));
	free(path);
	if (conf == NULL) {
		fprintf(stderr, "%s\n", why);
		exit(EX_CONFIG);
	}
	if (o->dump)
		config_dump(conf, stdout);
	if (o->test && config_workers_most(conf) < conf->workers)
		fprintf(stderr, "%s: warning: workers is %d, of which memory_total holds %d\n",
		    o->file, conf->workers, config_workers_most(conf));
	if (o->test)
		code = judge_as_user(conf, o->foreground);
	if (o->test && !o->dump && code == 0)
		printf("%s: ok\n", o->file);
	if (o->dump || o->test) {
		config_free(conf);
		exit(code);
	}
	return conf;
}

/* Before the loop runs, an error goes to the terminal, to the log, and to the starter. */
static void __attribute__((format(printf, 3, 4), noreturn))
die(struct master *m, int code, const char *fmt, ...)
{
	char text[3 * CONFIG_PATH_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	phase_fail(m, code, "%s", text);
	daemon_failed(m->ready_fd, code);
	exit(code);
}

/* What can never work by itself ends the start. */
static void
tell_start(void *arg, enum account_weight weight, const char *text)
{
	if (weight == ACCOUNT_FAULT)
		die(arg, EX_CONFIG, "%s", text);
	if (weight == ACCOUNT_WARNING)
		log_warn("%s", text);
	else
		log_info("%s", text);
}

/* A core dump would contain the stores' secrets.  A change of the user undoes what prctl() says. */
static void
harden(void)
{
	struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
#ifndef __SANITIZE_ADDRESS__
	/* This would forbid the sanitizers' leak check, which attaches to its own process. */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
	umask(022);
}

static void
act_as(struct master *m, const struct daemon_user *user)
{
	if (daemon_borrow(user) == -1)
		die(m, EX_NOPERM, "acting as user %s: %s", user->name, strerror(errno));
}

static void
act_as_before(struct master *m, const struct daemon_user *user)
{
	if (daemon_return(user) == -1)
		die(m, EX_OSERR, "acting as root again: %s", strerror(errno));
}

/* The pid that the file names; 0 if there is none.  A ferryd that ends in order leaves none. */
static int
read_pid(const char *path)
{
	char text[16] = "";
	const char *wrong;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW), pid;

	if (fd == -1)
		return 0;
	if (read(fd, text, sizeof(text) - 1) < 1)
		text[0] = '\0';
	close(fd);
	text[strcspn(text, "\n")] = '\0';
	pid = (int)strtonum(text, 1, INT32_MAX, &wrong);
	return wrong == NULL ? pid : 0;
}

/* Root makes the file only where the user cannot put a link. */
static struct pidfh *
take_pidfile(struct master *m, const struct daemon_user *user)
{
	const char *path = m->state.conf->pidfile;
	struct pidfh *pidfile;
	bool borrows = daemon_rules_directory(user, path);
	pid_t other = 0;
	int saved;

	if (borrows)
		act_as(m, user);
	m->node.previous_pid = read_pid(path);
	pidfile = pidfile_open(path, 0644, &other);
	saved = errno;
	if (borrows)
		act_as_before(m, user);
	if (pidfile != NULL)
		return pidfile;
	if (saved == EEXIST)
		die(m, EX_TEMPFAIL, "already running: pid %d (pidfile %s)", (int)other, path);
	die(m, EX_CANTCREAT, "pidfile %s: %s%s%s; its directory must exist, and be writable for %s",
	    path, strerror(saved), borrows ? " for user " : "", borrows ? user->name : "",
	    borrows ? "that user" : "this one");
}

/* In a directory of root's the user cannot remove the file.  An empty file names no process. */
static void
release_pidfile(struct pidfh *pidfile)
{
	if (ftruncate(pidfile_fileno(pidfile), 0) == -1)
		log_warn("pidfile: it still names this process: %s", strerror(errno));
	pidfile_remove(pidfile);
}

static void
open_log(struct master *m, const struct daemon_user *user)
{
	bool opened;
	int saved;

	log_set_max_priority(strcmp(m->state.conf->log_level, "debug") == 0 ? LOG_DEBUG : LOG_INFO);
	if (m->state.foreground)
		return;
	act_as(m, user);
	opened = log_open(m->state.conf->log) == 0;
	saved = errno;
	act_as_before(m, user);
	if (!opened && user->change)
		die(m, EX_CANTCREAT,
		    "log %s: %s for user %s, who must be able to write it and its directory",
		    m->state.conf->log, strerror(saved), user->name);
	if (!opened)
		die(m, EX_CANTCREAT,
		    "log %s: %s; its directory must exist, and both be writable for this user",
		    m->state.conf->log, strerror(saved));
}

static void
open_cap(struct master *m, const struct daemon_user *user)
{
	const struct config *conf = m->state.conf;
	struct cap_wish wish = { "", conf->memory_backend, conf->cgroup, getpid() };
	char why[2 * CONFIG_PATH_MAX + 512];

	m->pool.cap = cap_open(&wish, why, sizeof(why));
	if (m->pool.cap == NULL)
		die(m, EX_CONFIG, "memory_backend = %s does not work here: %s",
		    memory_backend_name(conf->memory_backend), why);
	if (user->change && cap_chown(m->pool.cap, user->uid, user->gid) == -1)
		die(m, EX_OSERR, "cgroup: chown to %s: %s", user->name, strerror(errno));
	if (why[0] != '\0')
		log_info(
		    "memory caps by %s (%s)", memory_backend_name(cap_backend(m->pool.cap)), why);
	else
		log_info("memory caps by %s", memory_backend_name(cap_backend(m->pool.cap)));
}

static void
become_user(struct master *m, const struct daemon_user *user)
{
	if (geteuid() == 0 && !user->change)
		log_warn(
		    "running as root, and so do the workers: set user in %s", m->state.conf->file);
	if (daemon_become(user) == -1)
		die(m, EX_NOPERM, "becoming user %s: %s", user->name, strerror(errno));
	harden();
}

/* Opens what needs root, then gives up root.  main() closes in reverse order. */
static struct pidfh *
open_resources(struct master *m)
{
	const struct config *conf = m->state.conf;
	struct daemon_user user;
	struct pidfh *pidfile;
	char image[CONFIG_PATH_MAX];

	if (daemon_find_user(conf->user, &user) == -1)
		die(m, EX_NOUSER, NO_USER, conf->user, conf->user, conf->file);
	m->pool.null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (m->pool.null_fd == -1)
		die(m, EX_OSFILE, "/dev/null: %s", strerror(errno));
	m->pool.image_fd =
	    spawn_open_image(conf->worker_program, "ferry-worker", image, sizeof(image));
	if (m->pool.image_fd == -1)
		die(m, EX_OSFILE, "worker program %s: %s; install it, or set worker_program in %s",
		    image, strerror(errno), conf->file);
	exporter_open_image(&m->exporter);
	/* nobody needs a file to find process 1 of a container */
	pidfile = getpid() == 1 ? NULL : take_pidfile(m, &user);
	open_log(m, &user);
	if (m->node.previous_pid != 0)
		log_warn("the previous ferryd (pid %d) ended without a word: it was killed, or its "
			 "machine went down",
		    m->node.previous_pid);
	open_cap(m, &user);
	sandbox_log();
	become_user(m, &user);
	account_check(conf, tell_start, m);
	if (pidfile != NULL)
		pidfile_write(pidfile);
	m->signal_fd = signals_open();
	if (m->signal_fd == -1)
		die(m, EX_OSERR, "signals: %s", strerror(errno));
	return pidfile;
}

static void
close_resources(struct master *m, struct pidfh *pidfile)
{
	exporter_close(&m->exporter);
	keys_release(&m->keys);
	stock_discard(&m->queue);
	done_discard(&m->queue);
	deaths_discard(&m->queue);
	node_close(&m->node);
	notify_close();
	close(m->signal_fd);
	cap_close(m->pool.cap);
	if (pidfile != NULL)
		release_pidfile(pidfile);
	close(m->pool.image_fd);
	close(m->pool.null_fd);
	config_free(m->state.conf);
}

int
main(int argc, char **argv, char **envp)
{
	static struct master m;
	struct link_events events = events_of_link(&m);
	struct options o;
	struct pidfh *pidfile;

	closefrom(STDERR_FILENO + 1); /* descriptors that our starter left open are not ours */
	log_init("ferryd", -1);
	o = parse_options(argc, argv);
	master_init(&m, load(&o));
	m.state.foreground = o.foreground;
	setproctitle_init(argc, argv, envp);
	harden();
	notify_open();
	if (!m.state.foreground)
		m.ready_fd = daemon_start();
	pidfile = open_resources(&m);
	m.pool.environment = spawn_environment(); /* with the HOME of the account */
	pool_init(&m.pool);
	keys_follow(&m.keys, NULL);
	node_open(&m.node, &events);

	loop_run(&m);

	if (m.exit_code == 0)
		log_info("ferryd ends");
	/* A starter that still waits: the daemon was stopped before it was up. */
	daemon_failed(m.ready_fd, m.exit_code != 0 ? m.exit_code : EX_UNAVAILABLE);
	close_resources(&m, pidfile);
	return m.exit_code;
}
