/*
 * One worker process: what it knows, and why it must stop.
 *
 * A worker carries one task at a time.  The task's steps are straight-line code.  A step starts its
 * requests and waits in loop_wait() (worker/event/loop.h), which moves everything else along: the
 * channel, the database, libcurl.
 */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/channel.h"
#include "common/config/config.h"
#include "common/db/db.h"
#include "common/db/refused.h"
#include "common/task.h"
#include "worker/base/rate.h"
#include "worker/base/parallel.h"
#include "worker/base/tally.h"

struct http;
struct transfer;
struct curl_slist;

/* Writes how far a transfer is into progress for the master, and into the process title. */
typedef void worker_progress(struct transfer *transfer, int64_t now, struct msg_progress *progress);

/* What refusals have told of a store's limits: worker/transfer/limits.h.  0: nothing. */
struct learned {
	int parts_max; /* of an upload */
	int64_t part_min; /* bytes */
	int64_t body_refused; /* bytes of the last body that was too large */
	int64_t body_passed; /* bytes of the largest body that was not */
};

/* A store with what the worker keeps for it. */
struct store {
	struct config_store conf;

	/* for libcurl */
	struct curl_slist *resolve; /* CURLOPT_RESOLVE, or NULL */
	bool resolve_taken; /* libcurl has it, and keeps it */

	/* keys that are renewed: worker/session/keys.h; times on clock_ms() */
	uint64_t keys_serial; /* rises with new keys */
	int64_t asked_at; /* the master was asked for newer keys; 0: it need not answer */
	int64_t told_at; /* the master said that there are none; 0: never, of these keys */

	/* measured or told */
	struct rate rate; /* this worker's share of what the store's tasks may move */
	int64_t skew_s; /* seconds that the store's clock is ahead of ours, if signatures need it */
	bool clock_told; /* the master knows how far the store's clock is ahead of ours: */
	int64_t clock_ahead_s;
	int64_t certificate_expires; /* as the master knows it, seconds since 1970; 0: unknown */
	struct learned learned;
	int64_t answer_us; /* from a request to the head of its answer, of late; 0: none yet */

	/* it has refused the condition that nothing is there: transfer/destination.h */
	bool put_lacks_condition;
	bool complete_lacks_condition;
};

/* A configuration from the master.  It is complete when config.nstores STOREs have followed. */
struct setup {
	struct msg_config config;
	int received;
	struct store *stores; /* config.nstores of them */
};

/* The connection to the database: worker/session/connection.h. */
struct connection {
	/* words of the master, until connection_run() */
	bool grant;
	bool yields; /* give it back as soon as no statement is under way */

	bool asked; /* the master was asked for a grant, and has not answered */
	bool granted; /* the handle may connect */
	bool up;
	int64_t close_at; /* on clock_ms(), without a statement until then; 0: it stays */
	char told[CHANNEL_WHY_MAX]; /* the master was told this reason why there is none; empty: it
				       was not */
	bool denied; /* none is to be had, because of why */
	bool tries; /* nothing waits for it, but the master learns when one can be had again */
	char why[CHANNEL_WHY_MAX];
};

/* Times are on clock_ms() unless a comment says otherwise. */
struct worker {
	/* who we are */
	int slot;
	uint64_t generation;
	char host[256]; /* the machine's name: temporary files lie on one machine */

	/* connections */
	int channel;
	struct http *http;
	struct db *db;
	struct connection connection;
	struct refused refusals; /* statements that the database puts off: worker/event/query.h */

	/* configuration */
	struct setup *setup; /* in force; NULL until the first is complete */
	struct setup *incoming; /* incomplete, or waiting for the end of the task in work */

	/* orders of the master, written by worker/session */
	bool has_task;
	struct task task; /* in work, valid while has_task */
	enum store_seen seen[TASK_ENDS]; /* of the store at that end */
	bool has_next;
	struct task next; /* sent while task is in work, valid while has_next */
	enum store_seen next_seen[TASK_ENDS];
	int64_t return_at; /* when next goes back to the master */
	struct rate queue_rate; /* this worker's share of what the task's queue may move */
	bool reap; /* abort abandoned uploads */
	bool retire; /* exit once idle */

	/* why the work must end: worker_interrupted() */
	bool cancelled; /* the row is cancelled, or the claim is revoked */
	bool revoked; /* an UPDATE with our claim found no row */
	bool stop; /* hand the task back and exit */
	bool eof; /* the master has exited: hand back at once and exit */
	int64_t deadline; /* with stop or eof: when to be gone */
	bool unsettled; /* a task's end could not be recorded: exit, a new process is safer */

	/* the node's lease: worker/session/lease.h */
	int64_t lease_until; /* on clock_boot_ms() */
	bool lapsed; /* the log says that it has lapsed */

	/* for the number of parts in flight: worker/base/parallel.h */
	int64_t idle_us; /* the time that the loop has waited in all */
	struct parallel_book parallel;

	struct tally tally; /* requests that the master does not know of */

	/* the transfer in work, for the master and the process title */
	struct transfer *transfer; /* NULL if idle */
	worker_progress *progress; /* set with transfer */
	int64_t tick_at; /* when the next progress is due */
	bool titled; /* the title says that the worker is idle */
};

/* True if the current step must be given up. */
static inline bool
worker_interrupted(const struct worker *w)
{
	return w->cancelled || w->revoked || w->stop || w->eof;
}

#endif
