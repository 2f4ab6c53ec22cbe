/*
 * ferry-exporter.  Only ferryd starts it: see common/figures.h.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "master/exporter/confine.h"
#include "master/exporter/exporter.h"
#include "master/exporter/http.h"

#define SETUP_MS 10000 /* the master sends it at once */

static void
say(const struct exporter *e, bool fine, const char *text)
{
	struct figures_word word = { .type = FIGURES_WORD, .fine = fine };

	strlcpy(word.text, text, sizeof(word.text));
	figures_send(e->channel, &word, sizeof(word)); /* if the master is gone, so are we soon */
}

/* Waits for the setup.  Returns 0, or -1 if something else came, or nothing. */
static int
receive_setup(struct exporter *e)
{
	struct pollfd fd = { .fd = e->channel, .events = POLLIN };

	if (poll(&fd, 1, SETUP_MS) != 1 ||
	    figures_receive(e->channel, &e->setup, sizeof(e->setup)) !=
		(ptrdiff_t)sizeof(e->setup) ||
	    e->setup.type != FIGURES_SETUP)
		return -1;
	e->setup.listen[sizeof(e->setup.listen) - 1] = '\0';
	e->setup.token[sizeof(e->setup.token) - 1] = '\0';
	e->setup.database[sizeof(e->setup.database) - 1] = '\0';
	return 0;
}

/* Takes the newest figures.  Returns false once the master is gone. */
static bool
receive_figures(struct exporter *e)
{
	static struct figures figures;
	ptrdiff_t n;

	while ((n = figures_receive(e->channel, &figures, sizeof(figures))) > 0)
		if (n == (ptrdiff_t)sizeof(figures) && figures.type == FIGURES_REPORT) {
			e->figures = figures;
			e->figures_at = clock_ms();
			e->heard_at = clock_wall_ms();
			history_take(&e->history, &e->figures, e->heard_at);
		}
	return n == -1 && errno == EAGAIN;
}

static int
timeout(const struct exporter *e, struct MHD_Daemon *http)
{
	int64_t at = clock_earlier(db_deadline(e->answers.db), answers_deadline(&e->answers));
	int64_t ms = clock_until(clock_earlier(at, board_deadline(&e->board)));
	int64_t http_ms = http_timeout(http);

	if (http_ms != -1 && (ms == -1 || http_ms < ms))
		ms = http_ms;
	return (int)ms;
}

static void
serve(struct exporter *e, struct MHD_Daemon *http)
{
	struct pollfd fds[3];

	do {
		while (db_run(e->answers.db))
			continue;
		answers_run(&e->answers);
		http_run(http);
		board_run(&e->board);
		fds[0] = (struct pollfd){ .fd = e->channel, .events = POLLIN };
		fds[1] = (struct pollfd){ .fd = http_fd(http), .events = POLLIN };
		fds[2] = (struct pollfd){ .fd = db_fd(e->answers.db),
			.events = db_poll_events(e->answers.db) };
		poll(fds, 3, timeout(e, http));
	} while (receive_figures(e));
}

int
main(int argc, char **argv, char **envp)
{
	static struct exporter e = { .channel = EXPORTER_CHANNEL_FD };
	struct MHD_Daemon *http;
	char why[256];

	setproctitle_init(argc, argv, envp);
	log_init("ferry-exporter", -1);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN); /* ^C at a terminal is for the master */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* the setup holds secrets */
	if (argc != 1 || receive_setup(&e) == -1)
		fatal(EX_USAGE, "ferry-exporter is started by ferryd, not by hand");
	http = http_open(&e, why, sizeof(why));
	if (http == NULL) {
		say(&e, false, why);
		return EX_UNAVAILABLE;
	}
	confine_exporter();
	setproctitle("%s", e.setup.listen);
	snprintf(why, sizeof(why), "the exporter (pid %d) listens on %.180s", (int)getpid(),
	    e.setup.listen);
	say(&e, true, why);
	answers_open(&e.answers, e.setup.database);
	board_open(&e.board, e.answers.db);
	e.started = clock_wall_ms();
	serve(&e, http);
	return 0;
}
