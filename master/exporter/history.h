/*
 * The last 15 minutes of this node, second by second, for the page: memory of the workers, bytes
 * carried, attempts failed, deaths.
 */
#ifndef MASTER_EXPORTER_HISTORY_H
#define MASTER_EXPORTER_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/figures.h"

#define HISTORY_TICKS 900 /* a report a second */
#define HISTORY_MS (HISTORY_TICKS * 1000LL)
#define HISTORY_ENDS 512

/* What one report of the master added. */
struct tick {
	int64_t at; /* milliseconds since 1970 */
	/* Most bytes that the worker of each number had since the report before; 0: no process. */
	int64_t memory[CONFIG_WORKERS_MAX];
	/* Since the report before, by the places of the sums in the figures. */
	uint64_t bytes[FIGURES_SUMS];
	uint64_t failures[FIGURES_SUMS];
};

struct history {
	int64_t serial; /* of the newest tick; 0: none yet */
	struct tick ticks[HISTORY_TICKS]; /* tick n is at n % HISTORY_TICKS */
	uint64_t nends; /* the newest is ends[(nends - 1) % HISTORY_ENDS] */
	struct figures_end ends[HISTORY_ENDS];

	/* As the last report had it. */
	uint64_t generations[CONFIG_WORKERS_MAX];
	int64_t peaks[CONFIG_WORKERS_MAX];
	struct figures_sums bytes;
	struct figures_sums failures;
	uint64_t ends_seen;
};

/* Takes a report that came at this time, milliseconds since 1970. */
void history_take(struct history *h, const struct figures *f, int64_t at);

/* The tick with this serial number; NULL: it is too old, or to come. */
const struct tick *history_tick(const struct history *h, int64_t serial);

/* Death n, counted from 0, of nends; NULL: it is not kept any more. */
const struct figures_end *history_end(const struct history *h, uint64_t n);

#endif
