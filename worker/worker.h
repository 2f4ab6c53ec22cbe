/*
 * One worker process: what it knows, and why it must stop what it does.  It carries one task at a time, written as
 * straight-line code over a nested pump: a step starts its requests and waits in loop_wait(), which moves everything else
 * along: the channel, the database, libcurl.
 */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/channel.h"
#include "common/config.h"
#include "common/db.h"
#include "common/task.h"
#include "worker/rate.h"
#include "worker/streams.h"

struct http;
struct transfer;
struct curl_slist;

/* A store with what the worker keeps for it. */
struct store {
	struct config_store conf;
	struct curl_slist *resolve; /* CURLOPT_RESOLVE, NULL if there is none */
	bool resolve_taken; /* libcurl has it, and keeps it */
	struct rate rate;
	int64_t skew_s;	   /* how far the store's clock is ahead of ours, where that matters */
	int64_t answer_us; /* from a request to the head of its answer, of late; 0: none yet */
};

/* The configuration as the master sent it; whole when nstores STOREs have followed. */
struct setup {
	struct msg_config config;
	int received;
	struct store *stores; /* config.nstores of them */
};

struct worker {
	int slot;
	char host[256]; /* the machine's name, for what only this machine can clean up */
	uint64_t generation;
	int channel;
	struct setup *setup;	/* in force; NULL until the first is whole */
	struct setup *incoming; /* being received, or waiting for the task in work to end */
	struct http *http;
	struct db *db;
	struct task task; /* given by the master, valid while has_task */
	bool has_task;
	struct task next; /* sent meanwhile, valid while has_next */
	bool has_next;
	int64_t return_at; /* it goes back then, on clock_ms() */
	struct rate queue_rate; /* this worker's share of what the task's queue may move */
	bool reap; /* asked to abort what nobody owns */

	/* why the work must end; set by the session and by the database's answers, read by the loop */
	bool cancelled; /* the task in work: the row is cancelled, or the claim is stale */
	bool stale;	/* the task in work: an UPDATE with our claim found no row */
	bool stop;	/* hand back and exit */
	bool eof;	/* the master is gone: the same, at once */
	bool retire;	/* exit once idle */
	bool unsettled; /* a task's end could not be recorded: better a new process */
	int64_t lease_until; /* on clock_boot_ms(); see lease.h */
	bool lapsed;	     /* and it has been said */
	int64_t deadline; /* with stop or eof: when to be gone, on clock_ms() */

	int64_t idle_us;	   /* waited in the loop, ever */
	struct streams_book streams;

	struct transfer *transfer; /* in work, for progress; NULL if idle */
	int64_t tick_at;	   /* next progress message */
	bool titled;		   /* the title says that it is idle */
};

/* True if the step in hand must be given up. */
static inline bool
worker_interrupted(const struct worker *w)
{
	return w->cancelled || w->stale || w->stop || w->eof;
}

#endif
