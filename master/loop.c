/*
 * The loop: waits for signals, workers, their ends, the database and the clock, and lets whoever owns the event act.
 * Handlers run to completion and never wait.
 */
#include "master/loop.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>

#include "common/clock.h"
#include "common/log.h"
#include "master/claim.h"
#include "master/dispatch.h"
#include "master/life.h"
#include "master/limits.h"
#include "master/notify.h"
#include "master/oldest.h"
#include "master/pool.h"
#include "master/post.h"
#include "master/prune.h"
#include "master/queue.h"
#include "master/quota.h"
#include "master/reap.h"
#include "master/reload.h"
#include "master/results.h"
#include "master/second.h"
#include "master/settle.h"
#include "master/shares.h"
#include "master/signals.h"
#include "master/stock.h"
#include "master/title.h"

#define FDS_MAX (3 + 2 * CONFIG_WORKERS_MAX)
#define BLIND_MS 100 /* how often all descriptors are tried where poll() will not say which are ready */

static void
resize(struct master *m, int by)
{
	if (pool_resize(m, m->pool.target + by))
		log_info("%d workers wanted", m->pool.target);
	else if (m->pool.target == CONFIG_WORKERS_MAX)
		log_info("%d workers wanted, the most that there can be", m->pool.target);
	else
		log_info("%d workers wanted, as before: memory_total holds no more", m->pool.target);
}

/* The pidfds say which it was, but for a process that none could be had for (too many open files, an old kernel). */
static void
on_child(struct master *m)
{
	struct slot *slot;

	POOL_FOREACH (slot, m)
		if (pool_is_live(slot) && slot->pidfd == -1)
			reap_slot(m, slot);
}

static void
on_signal(struct master *m, int signo)
{
	bool ending = master_is_ending(m);

	switch (signo) {
	case SIGTERM:
	case SIGINT:
		life_stop(m);
		break;
	case SIGQUIT:
		life_drain(m);
		break;
	case SIGHUP:
		if (!ending)
			reload_configuration(m);
		break;
	case SIGUSR1:
		reload_log(m);
		break;
	case SIGTTIN:
	case SIGTTOU:
		if (!ending)
			resize(m, signo == SIGTTIN ? 1 : -1);
		break;
	case SIGCHLD:
		on_child(m);
		break;
	default:
		break;
	}
}

static void
on_signals(struct master *m)
{
	int signo;

	while ((signo = signals_next(m->signal_fd)) != 0)
		on_signal(m, signo);
}

static int64_t
next_deadline(const struct master *m)
{
	int64_t at = clock_earlier(db_deadline(m->db), pool_deadline(m));

	at = clock_earlier(at, clock_earlier(queue_deadline(m), claim_deadline(m)));
	at = clock_earlier(at, clock_earlier(quota_deadline(m), shares_deadline(m)));
	at = clock_earlier(at, clock_earlier(settle_deadline(m), life_deadline(m)));
	at = clock_earlier(at, clock_earlier(oldest_deadline(m), prune_deadline(m)));
	at = clock_earlier(at, clock_earlier(results_deadline(m), stock_deadline(m)));
	at = clock_earlier(at, second_deadline(m));
	return clock_earlier(at, clock_earlier(cap_deadline(m->cap), notify_deadline()));
}

/* What the clock brings, and what the events of this turn have made due. */
static void
run_modules(struct master *m)
{
	pool_run(m);
	queue_run(m);
	quota_run(m);
	shares_run(m);
	claim_run(m);
	settle_run(m);
	second_run(m);
	results_run(m);
	stock_run(m);
	oldest_run(m);
	prune_run(m);
	life_run(m);
	cap_run(m->cap);
	notify_run();
	title_update(m);
}

static nfds_t
fill(const struct master *m, struct pollfd *fds)
{
	const struct slot *slot;
	nfds_t n = 0;

	fds[n++] = (struct pollfd){ .fd = m->signal_fd, .events = POLLIN };
	fds[n++] = (struct pollfd){ .fd = db_fd(m->db), .events = db_poll_events(m->db) };
	fds[n++] = (struct pollfd){ .fd = second_fd(m), .events = second_poll_events(m) };
	POOL_FOREACH (slot, m) {
		if (!pool_is_live(slot))
			continue;
		fds[n++] = (struct pollfd){ .fd = slot->channel,
			.events = (short)(POLLIN | (TAILQ_EMPTY(&slot->outbox) ? 0 : POLLOUT)) };
		fds[n++] = (struct pollfd){ .fd = slot->pidfd, .events = POLLIN };
	}
	return n;
}

/* The slots are those that fill() found live: none starts or ends between it and this, but by our own hand here. */
static void
serve_workers(struct master *m, const struct pollfd *fds)
{
	struct slot *slot;

	POOL_FOREACH (slot, m) {
		if (!pool_is_live(slot))
			continue;
		if (fds[0].revents & POLLOUT)
			post_flush(slot);
		if (fds[0].revents & (POLLIN | POLLHUP | POLLERR))
			dispatch_receive(m, slot);
		if (fds[1].revents & POLLIN)
			reap_slot(m, slot);
		fds += 2;
	}
}

/* Why poll() refused, by its true cause; errno is its own. */
static void
log_blind(nfds_t n)
{
	struct rlimit limit;

	if (errno == EINVAL && getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < n)
		log_error("%u descriptors cannot be watched, RLIMIT_NOFILE has become %llu: all are tried every %d ms, until it is "
			  "raised", (unsigned)n, (unsigned long long)limit.rlim_cur, BLIND_MS);
	else
		log_error("%u descriptors cannot be watched: poll: %s; all are tried every %d ms", (unsigned)n, strerror(errno),
		    BLIND_MS);
}

/*
 * Returns false if there is nothing to be looked at.  poll() refuses more descriptors than RLIMIT_NOFILE is at that time (somebody may
 * have lowered it since they were opened), and needs memory of the kernel's.  While it does, they count as ready now and then:
 * handlers never wait, so they can all be tried.
 */
static bool
await(struct pollfd *fds, nfds_t n, int timeout, bool *blind)
{
	nfds_t i;

	if (poll(fds, n, timeout) >= 0) {
		if (*blind)
			log_info("descriptors can be watched again");
		*blind = false;
		return true;
	}
	if (errno == EINTR)
		return false;
	if (errno != EINVAL && errno != ENOMEM && errno != EAGAIN)
		fatal(EX_SOFTWARE, "poll: %s", strerror(errno));
	if (!*blind)
		log_blind(n);
	*blind = true;
	poll(NULL, 0, timeout >= 0 && timeout < BLIND_MS ? timeout : BLIND_MS);
	for (i = 0; i < n; i++)
		fds[i].revents = (short)(fds[i].fd == -1 ? 0 : fds[i].events);
	return true;
}

void
loop_run(struct master *m)
{
	struct pollfd fds[FDS_MAX];
	bool blind = false, news;
	nfds_t n;

	for (;;) {
		run_modules(m);
		news = db_run(m->db);
		news |= second_receive(m);
		if (m->phase == PHASE_GONE)
			return;
		n = fill(m, fds);
		/* an answer that came in this moment has its consequences before anybody sleeps */
		if (!await(fds, n, news ? 0 : clock_until(next_deadline(m)), &blind))
			continue;
		serve_workers(m, fds + 3);
		claim_hand_out(m); /* before anything that takes longer: somebody has nothing to do */
		if (fds[0].revents & POLLIN)
			on_signals(m);
		db_run(m->db);
		second_receive(m);
	}
}
