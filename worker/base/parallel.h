/*
 * How many parts of a transfer are in flight: found out by trying.
 *
 * More parts hide round trips, and win where each connection is limited by its window.  On a link
 * that one part fills they only cost memory and CPU.  One number shows what helps: bytes a second.
 * It is measured over a window of time in which the number of parts does not change.  The window
 * opens when new parts have had time to start, and is longer than what buffers can hold back.
 *
 *   PARALLEL_GROW  Each window doubles the number, until that gains too little.  Then the number
 *                  returns to the last one that gained.
 *   PARALLEL_HOLD  The number stays.  From time to time follows a try.
 *   PARALLEL_TRY   A quarter more (kept if it gains), or a quarter less (kept if it loses nothing).
 *
 * A worker that never waits for a server is its own limit, and does not grow.  When a store says
 * "slow down", the number is halved once, however many parts the store refuses, and for a while
 * does not rise to where it was.  The next task between the same two stores begins with what was
 * learned (struct parallel_book).
 *
 * Pure: no clock and no I/O of its own.
 */
#ifndef WORKER_BASE_PARALLEL_H
#define WORKER_BASE_PARALLEL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/config/config.h"

#define PARALLEL_PAIRS 16

enum parallel_phase { PARALLEL_FIXED, PARALLEL_GROW, PARALLEL_HOLD, PARALLEL_TRY };

/* A moment.  The amounts only grow, but bytes may fall back when a part starts over. */
struct parallel_sample {
	int64_t now; /* clock_ms() */
	int64_t bytes; /* that the destination has */
	int64_t idle_us; /* the time that the worker has waited in all */
	int64_t latency; /* the link's */
	int busy; /* parts in flight */
};

/* The controller of one transfer.  Times are on clock_ms(). */
struct parallel {
	enum parallel_phase phase;
	int limit; /* for the caller: the most parts in flight */
	int max; /* what memory allows */

	/* a store that throttles */
	int ceiling; /* what it allows until ceiling_until */
	int64_t ceiling_until;
	int64_t ceiling_ms; /* how long a ceiling holds; doubles if it was right */
	int64_t halved_at; /* parts begun before then say nothing new when refused */

	/* the best known number */
	int good;
	double good_rate; /* bytes a ms; 0: not measured yet */

	/* tries */
	bool down; /* the next try is with fewer parts */
	int64_t try_at;
	int64_t try_after; /* ms between tries; doubles after a try without gain */

	/* the window */
	int64_t open_at;
	struct parallel_sample from; /* its beginning; now is 0 if none is open */
};

/* What a worker has learned about pairs of stores. */
struct parallel_book {
	struct parallel_pair {
		char source[CONFIG_NAME_MAX];
		char destination[CONFIG_NAME_MAX];
		int good; /* 0: nothing known */
		bool grown; /* the number had stopped growing */
		int ceiling;
		int64_t ceiling_until;
		int64_t ceiling_ms;
		int64_t at; /* when this was written */
	} pairs[PARALLEL_PAIRS];
};

/* The way between two stores. */
struct parallel_link {
	const char *source; /* names of stores */
	const char *destination;
	int64_t latency; /* ms from a part's request to its first byte at the destination */
};

/* Always limit parts. */
void parallel_init_fixed(struct parallel *p, int limit);

/* Between 1 and max parts: begins with what was learned of the link, else by its latency. */
void parallel_init(struct parallel *p, int max, const struct parallel_book *book,
    const struct parallel_link *link, int64_t now);

/*
 * Takes a sample; call it as often as you like.  Returns true if p->limit has changed.  Nothing is
 * learned while busy differs from the limit: parts begun under a higher one, or too few left.
 */
bool parallel_take(struct parallel *p, const struct parallel_sample *sample);

/* When the next sample is due, always after now; 0: never. */
int64_t parallel_due(const struct parallel *p, int64_t now);

/* A store has throttled a part that began at begun; busy parts are in flight now. */
void parallel_throttled(struct parallel *p, int busy, int64_t begun, int64_t now);

/* Writes down what was learned of the link, if anything. */
void parallel_remember(const struct parallel *p, struct parallel_book *book,
    const struct parallel_link *link, int64_t now);

#endif
