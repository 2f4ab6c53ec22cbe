/*
 * One curl_multi_poll() waits for everything: the channel, the database, libcurl's sockets.
 */
#include "worker/event/loop.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <poll.h>
#include <sysexits.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/db/db.h"
#include "worker/http/fence.h"
#include "worker/http/http.h"
#include "worker/http/request.h"
#include "worker/session/connection.h"
#include "worker/session/lease.h"
#include "worker/session/session.h"

/* The longest wait. */
#define IDLE_MS 60000

/* The descriptors besides libcurl's own. */
enum { LOOP_CHANNEL, LOOP_DATABASE, LOOP_FDS };

/* Fills in fds.  poll() ignores descriptor -1. */
static void
watch(struct worker *w, struct curl_waitfd fds[LOOP_FDS])
{
	short events = w->db != NULL ? db_poll_events(w->db) : 0;

	fds[LOOP_CHANNEL] =
	    (struct curl_waitfd){ .fd = w->eof ? -1 : w->channel, .events = CURL_WAIT_POLLIN };
	fds[LOOP_DATABASE] = (struct curl_waitfd){ .fd = w->db != NULL ? db_fd(w->db) : -1,
		.events = (short)(((events & POLLIN) != 0 ? CURL_WAIT_POLLIN : 0) |
				  ((events & POLLOUT) != 0 ? CURL_WAIT_POLLOUT : 0)) };
}

/*
 * True if db_run() has work: news on the socket, or its deadline.  While it connects, it must run
 * in each turn.
 */
static bool
database_is_due(struct worker *w, const struct curl_waitfd *fd)
{
	return !db_is_up(w->db) || fd->revents != 0 || clock_until(db_deadline(w->db)) == 0;
}

/* Waits, and measures how long: a worker that never waits is its own limit (parallel.h). */
static void
wait_for_news(struct worker *w, struct curl_waitfd *fds, unsigned n, int timeout)
{
	struct timespec before, after;

	clock_gettime(CLOCK_MONOTONIC, &before);
	http_poll(w->http, fds, n, timeout);
	clock_gettime(CLOCK_MONOTONIC, &after);
	w->idle_us += (int64_t)(after.tv_sec - before.tv_sec) * 1000000 +
		      (after.tv_nsec - before.tv_nsec) / 1000;
}

static void
turn(struct worker *w, int64_t wake)
{
	struct curl_waitfd fds[LOOP_FDS + HTTP_WAIT_MAX];
	int timeout;

	lease_watch(w);
	connection_run(w);
	http_fence(w->http);
	/* libcurl must begin a new request before there is a socket to wait for */
	if (http_is_fresh(w->http)) {
		http_perform(w->http);
		return;
	}
	if (w->db != NULL)
		wake = clock_earlier(wake, db_deadline(w->db));
	wake = clock_earlier(clock_earlier(wake, session_deadline(w)), lease_deadline(w));
	wake = clock_earlier(wake, connection_deadline(w));
	wake = clock_earlier(wake, refused_deadline(&w->refusals));
	timeout = clock_until(wake);
	if (timeout == -1 || timeout > IDLE_MS)
		timeout = IDLE_MS;
	watch(w, fds);
	wait_for_news(w, fds, LOOP_FDS, timeout);
	if (fds[LOOP_CHANNEL].revents != 0)
		session_receive(w);
	http_perform(w->http);
	if (w->db != NULL && database_is_due(w, &fds[LOOP_DATABASE]))
		db_run(w->db);
	refused_run(&w->refusals);
	session_tick(w);
}

static enum loop_end
run_until(struct worker *w, loop_condition *done, void *arg, int64_t deadline, bool insist)
{
	int64_t wake;

	for (;;) {
		if (!insist && worker_interrupted(w))
			return LOOP_INTERRUPTED;
		wake = deadline;
		if (done(arg, &wake))
			return LOOP_DONE;
		if (deadline != 0 && clock_ms() >= deadline)
			return LOOP_DEADLINE;
		turn(w, wake);
	}
}

enum loop_end
loop_wait(struct worker *w, loop_condition *done, void *arg, int64_t deadline)
{
	return run_until(w, done, arg, deadline, false);
}

enum loop_end
loop_insist(struct worker *w, loop_condition *done, void *arg, int64_t deadline)
{
	if (deadline == 0)
		fatal(EX_SOFTWARE, "loop_insist() without a deadline");
	return run_until(w, done, arg, deadline, true);
}

bool
loop_never(void *arg, int64_t *wake)
{
	(void)arg;
	(void)wake;
	return false;
}

static bool
lease_is_back(void *arg, int64_t *wake)
{
	(void)wake;
	return lease_holds(arg);
}

enum loop_end
loop_await_lease(struct worker *w)
{
	return lease_holds(w) ? LOOP_DONE : loop_wait(w, lease_is_back, w, 0);
}

int
loop_yield(struct worker *w)
{
	turn(w, clock_ms());
	return worker_interrupted(w) ? -1 : 0;
}
