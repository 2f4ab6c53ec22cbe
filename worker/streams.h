/*
 * How many parts of a transfer are in flight: found out by trying.
 *
 * More streams hide round trips and win where each connection is held to its window; on a link that one stream fills they only
 * cost memory and CPU.  What helps is seen in one number, bytes a second, so that is what is measured: over a window of time in
 * which nothing else changes, that begins when new streams have had time to start, and is long enough for what buffers hold back.
 *
 *   STREAMS_GROW  twice as many after each window, until that gains too little; then back to what gained
 *   STREAMS_HOLD  as they are; from time to time one of
 *   STREAMS_TRY   a quarter more (stays if it gains), or a quarter less (stays if it loses nothing)
 *
 * A worker that never waits for a server is its own limit: then there is no growth.  A store that says "slow down" halves the
 * number once, however many parts it refuses, and so many are not tried again for a while.  What was found for a pair of stores is where its next task begins
 * (struct streams_book).
 *
 * Pure: no clock and no I/O of its own.
 */
#ifndef WORKER_STREAMS_H
#define WORKER_STREAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"

#define STREAMS_PAIRS 16

enum streams_phase { STREAMS_FIXED, STREAMS_GROW, STREAMS_HOLD, STREAMS_TRY };

/* What is known at a time; the amounts only grow, but bytes may fall back when a part starts over. */
struct streams_sample {
	int64_t now;	 /* clock_ms() */
	int64_t bytes;	 /* that the destination has */
	int64_t idle_us; /* the worker has waited for so long in all */
	int64_t latency; /* ms from a part's request to its first byte at the destination: what both stores take to answer */
	int busy;	 /* parts in flight */
};

struct streams {
	enum streams_phase phase;
	int limit; /* parts in flight, at most: to be read by the caller */
	int max;   /* what memory allows */
	int ceiling; /* what a throttling store allows until ceiling_until */
	int64_t ceiling_until;
	int64_t ceiling_ms;   /* how long it holds: doubles when it turns out to be right */
	int64_t halved_at;    /* what was begun before then and is refused says nothing new */
	int good;		/* what the last good window had */
	double good_rate;	/* bytes a ms; 0: not measured yet */
	bool down;		/* the next try is with less */
	int64_t try_at;
	int64_t try_after; /* ms from one try to the next: doubles when it gained nothing */
	struct streams_sample from; /* the window's beginning; now 0: none is open, busy: at which limit */
	int64_t open_at;
};

/* What a worker has learned: where the next task between two stores begins. */
struct streams_book {
	struct {
		char source[CONFIG_NAME_MAX];
		char destination[CONFIG_NAME_MAX];
		int good;
		bool grown; /* it was not still growing */
		int ceiling;
		int64_t ceiling_until;
		int64_t ceiling_ms;
		int64_t at;
	} pairs[STREAMS_PAIRS];
};

/* Always that many. */
void streams_init_fixed(struct streams *s, int limit);

/* Between 1 and max, from what the book says, else from the latency: the longer it is, the more is in flight at first. */
void streams_init(struct streams *s, int max, int64_t latency, const struct streams_book *book, const char *source,
    const char *destination, int64_t now);

/*
 * Takes a sample, as often as the caller likes.  True if s->limit has changed.  While busy is not the limit (parts that were
 * begun under a higher one, or too few left), nothing is learned.
 */
bool streams_take(struct streams *s, const struct streams_sample *sample);

/* When the next sample is due, always after now; 0: never. */
int64_t streams_due(const struct streams *s, int64_t now);

/* A store has throttled a part that was begun then, with so many in flight now. */
void streams_throttled(struct streams *s, int busy, int64_t begun, int64_t now);

/* Writes down what was learned, if anything was. */
void streams_remember(const struct streams *s, struct streams_book *book, const char *source, const char *destination,
    int64_t now);

#endif
