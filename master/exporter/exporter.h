/*
 * ferry-exporter: gives the figures of a node to others over HTTP.  The master starts it, tells it
 * its figures over a channel (common/figures.h), and does no HTTP itself.
 *
 * Of the whole queue one exporter speaks at a time, so that sums over nodes are right: the one
 * whose session with the database holds an advisory lock.
 */
#ifndef MASTER_EXPORTER_EXPORTER_H
#define MASTER_EXPORTER_EXPORTER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/db/db.h"
#include "common/figures.h"
#include "master/exporter/board.h"
#include "master/exporter/history.h"

/* Names of queues are bounded, so that time series are: the others count as "other". */
#define QUEUES_MAX 64

/* Tasks that wait or run. */
struct live {
	char queue[CONFIG_NAME_MAX];
	int64_t queued;
	int64_t running;
	double oldest_s; /* the longest that a due task has waited */
};

/* Tasks that have ended since this exporter speaks of the queue. */
enum ended_state { ENDED_DONE, ENDED_FAILED, ENDED_CANCELLED, ENDED_STATES };
struct ended {
	char queue[CONFIG_NAME_MAX];
	uint64_t tasks[ENDED_STATES];
	struct histogram waits;
	struct histogram durations;
};

struct answers {
	struct db *db;

	/* The round of questions. */
	bool has_lock; /* our session has it */
	bool speaks; /* we have the lock, or a role has it that is no exporter's */
	bool whole; /* every question has been answered once since then */
	int pending; /* questions of this round that are not answered */
	bool failed; /* one of this round was refused */
	int64_t asked_at; /* the round began then, on clock_ms() */
	int64_t ask_at; /* the next one */

	/* The answers. */
	int nlive;
	struct live live[QUEUES_MAX];
	int nended;
	struct ended ended[QUEUES_MAX];
	char counted_until[64]; /* tasks that ended before that are in ended; empty: none are */
	int64_t connections;
	int64_t dead_rows;
	double oldest_transaction_s;
	int64_t uploads_abandoned;
};

struct exporter {
	int channel;
	struct figures_setup setup;
	struct figures figures;
	int64_t figures_at; /* when they came, on clock_ms(); 0: none have come */
	struct answers answers;

	/* For the page.  Times are milliseconds since 1970. */
	int64_t started;
	int64_t heard_at; /* when the figures came */
	struct history history;
	struct board board;
};

/* Without figures for so long, the master is stuck. */
#define FIGURES_OLD_MS 10000
bool exporter_hears(const struct exporter *e);

/* answers.c: asks the database.  answers_deadline() says when answers_run() is due. */
void answers_open(struct answers *a, const char *conninfo);
void answers_run(struct answers *a);
int64_t answers_deadline(const struct answers *a);

/* take.c: takes the rows of an answer. */
void take_live(struct answers *a, const PGresult *res);
void take_ended(struct answers *a, const PGresult *res);
void take_database(struct answers *a, const PGresult *res);

/*
 * The text that Prometheus reads, in its own format 0.0.4 or as OpenMetrics 1.0:
 * https://github.com/prometheus/docs, exposition_formats.md and open_metrics_spec.md.
 */
struct exposition {
	FILE *out;
	bool is_open; /* OpenMetrics */
};

/* expose.c: the head of a family.  A counter's name is without "_total". */
void expose_family(struct exposition *p, const char *name, const char *type, const char *help);

/*
 * One sample.  Labels are pairs of name and value that end with NULL; values are escaped.  The name
 * of a counter's sample ends in "_total" in both formats.
 */
void expose_sample(struct exposition *p, const char *name, const char *const *labels, double value);

/* All samples of a histogram. */
void expose_histogram(struct exposition *p, const char *name, const char *const *labels,
    const struct histogram *h, const double *bounds);

#define LABELS(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define NO_LABELS ((const char *const[]){ NULL })

/* node.c, whole.c: the figures of this node, and of the whole queue. */
void node_write(struct exposition *p, const struct exporter *e);
void whole_write(struct exposition *p, const struct answers *a);

#endif
