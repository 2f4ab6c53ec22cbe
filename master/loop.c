/*
 * Waits for signals, workers and their ends, the database and the clock.  Handlers run to
 * completion and never wait.
 */
#include "master/loop.h"

#include <string.h>

#include "common/base/clock.h"
#include "master/events.h"
#include "master/exits.h"
#include "master/gather.h"
#include "master/keys/keys.h"
#include "master/limits/quota.h"
#include "master/limits/shares.h"
#include "master/node/second.h"
#include "master/os/notify.h"
#include "master/os/pause.h"
#include "master/os/poll.h"
#include "master/phase.h"
#include "master/pool/connections.h"
#include "master/pool/pool.h"
#include "master/queue/behind.h"
#include "master/queue/claim.h"
#include "master/queue/deaths.h"
#include "master/queue/done.h"
#include "master/queue/handout.h"
#include "master/queue/progress.h"
#include "master/queue/requeue.h"
#include "master/queue/revoked.h"
#include "master/queue/stock.h"
#include "master/reports.h"
#include "master/title.h"
#include "master/upkeep/blocker.h"
#include "master/upkeep/prune.h"
#include "master/upkeep/waits.h"

#define FDS_MAX (6 + 2 * CONFIG_WORKERS_MAX + KEYS_FDS_MAX)

static int64_t
next_deadline(const struct master *m)
{
	const int64_t deadlines[] = {
		pool_deadline(&m->pool),
		connections_deadline(&m->pool),
		db_deadline(m->node.db),
		node_deadline(&m->node),
		second_deadline(&m->node),
		quota_deadline(&m->limits),
		shares_deadline(&m->limits),
		keys_deadline(&m->keys),
		revoked_deadline(&m->queue),
		handout_deadline(&m->queue),
		claim_deadline(&m->queue),
		behind_deadline(&m->queue),
		deaths_deadline(&m->queue),
		progress_deadline(&m->queue),
		done_deadline(&m->queue),
		stock_deadline(&m->queue),
		blocker_deadline(&m->upkeep),
		prune_deadline(&m->upkeep),
		waits_deadline(&m->upkeep),
		phase_deadline(m),
		exporter_deadline(&m->exporter),
		gather_deadline(m),
		cap_deadline(m->pool.cap),
		notify_deadline(),
		pause_deadline(&m->pause),
	};
	int64_t at = 0;
	size_t i;

	for (i = 0; i < sizeof(deadlines) / sizeof(deadlines[0]); i++)
		at = clock_earlier(at, deadlines[i]);
	return at;
}

/*
 * Does what the clock demands, and what the events of this turn have put on the agenda.  The order
 * is that of the statements: quotas before claims, reconciling before the next claim.
 */
static void
run_parts(struct master *m)
{
	pool_run(&m->pool);
	connections_run(&m->pool);
	node_run(&m->node);
	quota_run(&m->limits);
	shares_run(&m->limits);
	keys_run(&m->keys);
	requeue_run(&m->queue);
	revoked_run(&m->queue);
	handout_run(&m->queue);
	claim_run(&m->queue);
	behind_run(&m->queue);
	deaths_run(&m->queue);
	progress_run(&m->queue);
	second_run(&m->node);
	done_run(&m->queue);
	stock_run(&m->queue);
	blocker_run(&m->upkeep);
	prune_run(&m->upkeep);
	waits_run(&m->upkeep);
	phase_run(m);
	exporter_run(&m->exporter);
	gather_run(m);
	cap_run(m->pool.cap);
	notify_run();
	title_update(m);
}

static nfds_t
fill(const struct master *m, struct pollfd *fds)
{
	const struct slot *slot;
	struct db *db = m->node.db;
	nfds_t n = 0;

	fds[n++] = (struct pollfd){ .fd = m->signal_fd, .events = POLLIN };
	fds[n++] = (struct pollfd){ .fd = db_fd(db), .events = db_poll_events(db) };
	fds[n++] =
	    (struct pollfd){ .fd = second_fd(&m->node), .events = second_poll_events(&m->node) };
	fds[n++] =
	    (struct pollfd){ .fd = aside_fd(&m->node), .events = aside_poll_events(&m->node) };
	fds[n++] =
	    (struct pollfd){ .fd = pooler_fd(&m->node), .events = pooler_poll_events(&m->node) };
	fds[n++] = (struct pollfd){ .fd = exporter_fd(&m->exporter), .events = POLLIN };
	POOL_FOREACH (slot, &m->pool) {
		if (!slot_is_live(slot))
			continue;
		fds[n++] = (struct pollfd){ .fd = slot->channel,
			.events = (short)(POLLIN | (TAILQ_EMPTY(&slot->outbox) ? 0 : POLLOUT)) };
		fds[n++] = (struct pollfd){ .fd = slot->pidfd, .events = POLLIN };
	}
	return n + keys_fill(&m->keys, fds + n, KEYS_FDS_MAX);
}

/* The live slots are those that fill() found: none starts between fill() and here. */
static void
serve_workers(struct master *m, const struct pollfd *fds)
{
	struct slot *slot;

	POOL_FOREACH (slot, &m->pool) {
		if (!slot_is_live(slot))
			continue;
		if (fds[0].revents & POLLOUT)
			outbox_flush(slot);
		if (fds[0].revents & (POLLIN | POLLHUP | POLLERR))
			reports_receive(m, slot);
		if (fds[1].revents & POLLIN)
			exits_take(m, slot);
		fds += 2;
	}
}

static bool
serve_database(struct master *m)
{
	bool news = db_run(m->node.db);

	news |= second_receive(&m->node);
	news |= aside_receive(&m->node);
	news |= pooler_receive(&m->node);
	return news;
}

void
loop_run(struct master *m)
{
	struct pollfd fds[FDS_MAX];
	bool news;
	nfds_t n;

	for (;;) {
		pause_turn(&m->pause, clock_boot_ms(), clock_ms());
		run_parts(m);
		news = serve_database(m);
		if (m->state.phase == PHASE_GONE)
			return;
		n = fill(m, fds);
		/* an answer of this moment may have consequences: no sleep before the next turn */
		if (!poll_wait(fds, n, news ? 0 : clock_until(next_deadline(m))))
			continue;
		serve_workers(m, fds + 6);
		/* first, since idle workers wait for it */
		handout_run(&m->queue);
		if (fds[5].revents & (POLLIN | POLLHUP))
			exporter_receive(&m->exporter);
		if (fds[0].revents & POLLIN)
			events_signals(m);
		serve_database(m);
	}
}
