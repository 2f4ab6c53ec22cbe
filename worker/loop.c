/*
 * The pump: curl_multi_poll() with the channel and the database beside libcurl's own sockets.
 */
#include <curl/curl.h>
#include <poll.h>
#include <sysexits.h>
#include <time.h>

#include "common/clock.h"
#include "common/db.h"
#include "common/log.h"
#include "worker/http.h"
#include "worker/lease.h"
#include "worker/loop.h"
#include "worker/session.h"

/* with nothing else to wait for: the clock is looked at as often */
#define LOOP_IDLE_MS 60000

/* What a turn waits for beside libcurl's own sockets. */
enum { LOOP_CHANNEL, LOOP_DATABASE, LOOP_FDS };

/* One that is not there is left out by poll(). */
static void
loop_watch(struct worker *w, struct curl_waitfd fds[LOOP_FDS])
{
	short events = w->db != NULL ? db_poll_events(w->db) : 0;

	fds[LOOP_CHANNEL] = (struct curl_waitfd){ .fd = w->eof ? -1 : w->channel, .events = CURL_WAIT_POLLIN };
	fds[LOOP_DATABASE] = (struct curl_waitfd){ .fd = w->db != NULL ? db_fd(w->db) : -1,
		.events = (short)(((events & POLLIN) != 0 ? CURL_WAIT_POLLIN : 0) |
		    ((events & POLLOUT) != 0 ? CURL_WAIT_POLLOUT : 0)) };
}

/* While it connects it knows itself what it waits for; else there is news, something to send, or a time has come. */
static bool
loop_database_is_due(struct worker *w, const struct curl_waitfd *fd)
{
	return !db_is_up(w->db) || fd->revents != 0 || clock_until(db_deadline(w->db)) == 0;
}

/* How long a worker waits for others says whether it is its own limit: see streams.h. */
static void
loop_wait_for_news(struct worker *w, struct curl_waitfd *fds, unsigned n, int timeout)
{
	struct timespec before, after;

	clock_gettime(CLOCK_MONOTONIC, &before);
	http_poll(w->http, fds, n, timeout);
	clock_gettime(CLOCK_MONOTONIC, &after);
	w->idle_us += (int64_t)(after.tv_sec - before.tv_sec) * 1000000 + (after.tv_nsec - before.tv_nsec) / 1000;
}

static void
loop_turn(struct worker *w, int64_t wake)
{
	struct curl_waitfd fds[LOOP_FDS + HTTP_WAIT_MAX];
	int timeout;

	lease_watch(w);
	http_fence(w->http);
	/* a request that was just started has nothing to wait for */
	if (http_is_fresh(w->http)) {
		http_perform(w->http);
		return;
	}
	if (w->db != NULL)
		wake = clock_earlier(wake, db_deadline(w->db));
	wake = clock_earlier(clock_earlier(wake, session_deadline(w)), lease_deadline(w));
	timeout = clock_until(wake);
	if (timeout == -1 || timeout > LOOP_IDLE_MS)
		timeout = LOOP_IDLE_MS;
	loop_watch(w, fds);
	loop_wait_for_news(w, fds, LOOP_FDS, timeout);
	if (fds[LOOP_CHANNEL].revents != 0)
		session_receive(w);
	http_perform(w->http);
	if (w->db != NULL && loop_database_is_due(w, &fds[LOOP_DATABASE]))
		db_run(w->db);
	session_tick(w);
}

static int
loop_run(struct worker *w, loop_condition *done, void *arg, int64_t deadline, bool insist)
{
	int64_t wake;

	for (;;) {
		if (!insist && worker_interrupted(w))
			return -1;
		wake = deadline;
		if (done(arg, &wake))
			return 0;
		if (deadline != 0 && clock_ms() >= deadline)
			return 1;
		loop_turn(w, wake);
	}
}

int
loop_wait(struct worker *w, loop_condition *done, void *arg, int64_t deadline)
{
	return loop_run(w, done, arg, deadline, false);
}

int
loop_insist(struct worker *w, loop_condition *done, void *arg, int64_t deadline)
{
	if (deadline == 0)
		fatal(EX_SOFTWARE, "a wait without end");
	return loop_run(w, done, arg, deadline, true);
}

bool
loop_never(void *arg, int64_t *wake)
{
	(void)arg;
	(void)wake;
	return false;
}

int
loop_yield(struct worker *w)
{
	loop_turn(w, clock_ms());
	return worker_interrupted(w) ? -1 : 0;
}
