#include "master/metrics/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/channel.h"
#include "master/pool/child.h"
#include "master/pool/spawn.h"

#define DELAY_MIN_MS 1000
#define DELAY_MAX_MS 30000

void
exporter_init(struct exporter *e)
{
	e->image_fd = e->channel = e->report = -1;
}

void
exporter_open_image(struct exporter *e)
{
	char path[CONFIG_PATH_MAX];

	e->image_fd = spawn_open_image("", "ferry-exporter", path, sizeof(path));
}

static bool
is_wanted(const struct exporter *e)
{
	return e->state->conf->metrics_listen[0] != '\0';
}

/* Closes what the process had. */
static void
close_process(struct exporter *e)
{
	if (e->channel != -1)
		close(e->channel);
	if (e->report != -1)
		close(e->report);
	e->channel = e->report = -1;
}

static void
delay(struct exporter *e)
{
	e->delay_ms = e->delay_ms == 0 ? DELAY_MIN_MS : e->delay_ms * 2;
	if (e->delay_ms > DELAY_MAX_MS)
		e->delay_ms = DELAY_MAX_MS;
	e->start_at = clock_ms() + e->delay_ms;
}

/* Logs a complaint, unless it was the last one. */
static void
complain(struct exporter *e, const char *what)
{
	if (strcmp(e->said, what) == 0)
		return;
	strlcpy(e->said, what, sizeof(e->said));
	log_error("the exporter gives no metrics: %s; it is started again and again", what);
}

static void
send_setup(struct exporter *e)
{
	const struct config *conf = e->state->conf;
	struct figures_setup setup = { .type = FIGURES_SETUP };

	strlcpy(setup.listen, conf->metrics_listen, sizeof(setup.listen));
	strlcpy(setup.token, conf->metrics_token, sizeof(setup.token));
	strlcpy(setup.database, conf->worker.database, sizeof(setup.database));
	figures_send(e->channel, &setup, sizeof(setup)); /* if it fails, the process ends */
	explicit_bzero(&setup, sizeof(setup));
}

/* Forks.  Returns the pid, or -1 with errno. */
static pid_t
start_child(const struct exporter *e, int channel, int report)
{
	static char program[] = "ferry-exporter";
	char *argv[] = { program, NULL };
	struct child_plan plan = {
		.channel = channel,
		.log = -1,
		.null = e->pool->null_fd,
		.image = e->image_fd,
		.procs = -1,
		.report = report,
		.keep_stderr = log_fd() == STDERR_FILENO,
		.argv = argv,
		.envp = e->pool->environment,
	};
	pid_t pid = fork();

	if (pid == 0)
		child_run(&plan);
	return pid;
}

/* Returns 0, or -1 with errno. */
static int
start(struct exporter *e)
{
	int channel[2], report[2], saved;

	if (channel_pair(channel) == -1)
		return -1;
	if (pipe2(report, O_CLOEXEC | O_NONBLOCK) == -1)
		goto err1;
	e->pid = start_child(e, channel[1], report[1]);
	if (e->pid == -1)
		goto err2;
	close(channel[1]);
	close(report[1]);
	e->channel = channel[0];
	e->report = report[0];
	e->killed = e->sent_none = false;
	send_setup(e);
	return 0;

err2:
	saved = errno;
	e->pid = 0;
	close(report[0]);
	close(report[1]);
	errno = saved;
err1:
	saved = errno;
	close(channel[0]);
	close(channel[1]);
	errno = saved;
	return -1;
}

int64_t
exporter_deadline(const struct exporter *e)
{
	if (e->pid != 0 || !is_wanted(e) || e->state->phase >= PHASE_LEAVING)
		return 0;
	return e->start_at != 0 ? e->start_at : clock_ms();
}

void
exporter_run(struct exporter *e)
{
	int64_t at = exporter_deadline(e);
	char why[128];

	if (at == 0 || at > clock_ms())
		return;
	if (e->image_fd == -1) {
		complain(e, "there was no program ferry-exporter when ferryd started");
		delay(e);
		return;
	}
	if (start(e) == -1) {
		snprintf(why, sizeof(why), "it cannot be started: %s", strerror(errno));
		complain(e, why);
		delay(e);
	}
}

int
exporter_fd(const struct exporter *e)
{
	return e->channel;
}

static void
take_word(struct exporter *e, struct figures_word *word)
{
	word->text[sizeof(word->text) - 1] = '\0';
	if (word->fine == 0) {
		complain(e, word->text);
		return;
	}
	log_info("metrics: %s", word->text);
	e->said[0] = '\0';
	e->delay_ms = 0;
}

void
exporter_receive(struct exporter *e)
{
	struct figures_word word;
	ptrdiff_t n;

	while (e->channel != -1 && (n = figures_receive(e->channel, &word, sizeof(word))) != -1) {
		if (n == 0) {
			close(e->channel);
			e->channel = -1;
		} else if (n == (ptrdiff_t)sizeof(word) && word.type == FIGURES_WORD) {
			take_word(e, &word);
		}
	}
}

/* What is to be said of an end that we did not ask for. */
static void
describe(struct exporter *e, int status, char *why, size_t size)
{
	struct child_report report;

	if (read(e->report, &report, sizeof(report)) == (ssize_t)sizeof(report))
		snprintf(why, size, "its start failed, %s: %s", child_step_name(report.step),
		    strerror(report.error));
	else if (WIFSIGNALED(status))
		snprintf(why, size, "it was killed by signal %d (%s)", WTERMSIG(status),
		    strsignal(WTERMSIG(status)));
	else
		snprintf(why, size, "it exited with code %d", WEXITSTATUS(status));
}

void
exporter_take_end(struct exporter *e)
{
	char why[160];
	int status;

	if (e->pid == 0 || waitpid(e->pid, &status, WNOHANG) != e->pid)
		return;
	exporter_receive(e); /* its last words */
	e->pid = 0;
	if (!e->killed) {
		describe(e, status, why, sizeof(why));
		if (e->said[0] == '\0')
			complain(e, why);
		delay(e);
	}
	close_process(e);
}

bool
exporter_listens(const struct exporter *e)
{
	return e->channel != -1;
}

void
exporter_send(struct exporter *e, struct figures *figures)
{
	figures->type = FIGURES_REPORT;
	if (figures_send(e->channel, figures, sizeof(*figures)) == 0) {
		e->sent_none = false;
		return;
	}
	if (e->sent_none || errno == EPIPE)
		return;
	e->sent_none = true;
	log_warn("the exporter (pid %d) does not take the figures: %s; metrics are old",
	    (int)e->pid, strerror(errno));
}

void
exporter_follow(struct exporter *e, const struct config *old)
{
	const struct config *conf = e->state->conf;

	if (strcmp(conf->metrics_listen, old->metrics_listen) == 0 &&
	    strcmp(conf->metrics_token, old->metrics_token) == 0)
		return;
	e->said[0] = '\0';
	e->start_at = e->delay_ms = 0;
	if (e->pid == 0)
		return;
	e->killed = true;
	kill(e->pid, SIGKILL);
}

void
exporter_close(struct exporter *e)
{
	if (e->pid != 0) {
		kill(e->pid, SIGKILL);
		while (waitpid(e->pid, NULL, 0) == -1 && errno == EINTR)
			continue;
	}
	close_process(e);
	if (e->image_fd != -1)
		close(e->image_fd);
}
