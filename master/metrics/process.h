/*
 * The exporter, ferry-exporter: the process that gives figures to others over HTTP.  The master
 * runs it while the configuration has metrics.listen, with the rights of a worker, and starts it
 * again if it ends.  Nothing here waits for it: figures that it does not read in time are dropped.
 */
#ifndef MASTER_METRICS_PROCESS_H
#define MASTER_METRICS_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/figures.h"
#include "master/pool/slot.h"
#include "master/state.h"

struct exporter {
	struct state *state;
	struct pool *pool;

	int image_fd; /* ferry-exporter as it was at start; -1: there was none */
	pid_t pid; /* 0: it does not run */
	int channel; /* -1: closed */
	int report; /* tells what failed between fork and exec; -1: closed */

	/* The next start, on clock_ms(). */
	int64_t start_at; /* 0: as soon as it is wanted */
	int64_t delay_ms; /* doubles with each end */

	bool killed; /* by us, for a change of the configuration: its end is no news */
	bool sent_none; /* logged: the figures cannot be sent */
	char said[256]; /* logged: its last complaint; empty: it has none */
};

/* Needs e->state and e->pool. */
void exporter_init(struct exporter *e);

/* Opens the program, so that an upgrade on disk never mixes versions. */
void exporter_open_image(struct exporter *e);

/* Starts it if that is due.  When to call this again; 0: not by the clock. */
void exporter_run(struct exporter *e);
int64_t exporter_deadline(const struct exporter *e);

/* For poll(): -1 if there is nothing to wait for. */
int exporter_fd(const struct exporter *e);

/* Takes what it has to say. */
void exporter_receive(struct exporter *e);

/* SIGCHLD has come: takes its end, if it has ended. */
void exporter_take_end(struct exporter *e);

/* Whether it can be sent figures. */
bool exporter_listens(const struct exporter *e);
void exporter_send(struct exporter *e, struct figures *figures);

/* The configuration has changed from old: ends it if it has to start anew. */
void exporter_follow(struct exporter *e, const struct config *old);

/* Ends it, waits for its end, and closes what it had. */
void exporter_close(struct exporter *e);

#endif
