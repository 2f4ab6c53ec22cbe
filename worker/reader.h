/*
 * The source's side of a pipe: brings the bytes of a range into a ring, by a GET that can be broken off and taken up again
 * at any offset, or from a file.  It pauses while the ring is full, long before a server would lose its patience.
 */
#ifndef WORKER_READER_H
#define WORKER_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "worker/failure.h"
#include "worker/http.h"
#include "worker/ring.h"
#include "worker/source.h"

struct reader {
	struct worker *w;
	struct source *source;
	struct ring *ring;
	enum http_buffers buffers;
	bool reading; /* the GET is under way */
	bool paused;
	bool checked; /* the answer's head was compared with the pin */
	bool opening; /* the answer is the first about the source, and makes the pin */
	bool opened;  /* so it was: what has come is the source's beginning */
	bool ended;   /* all bytes up to end are in the ring or beyond it, and the source's side ended well */
	int64_t offset; /* of the next byte to enter the ring */
	int64_t end;	/* -1: wherever the source ends */
	int64_t get_end; /* the same, of the GET under way */
	int64_t skip;	/* bytes to leave out: the source has no ranges */
	int64_t moved_at;
	int64_t paused_at;
	int64_t retry_at; /* 0: none due */
	struct http_request get; /* last, being large */
};

/* source and ring must outlive it. */
void reader_init(struct reader *r, struct worker *w, struct source *source, struct ring *ring, enum http_buffers buffers);

/*
 * The source has not been asked yet: its first bytes, most of them at most.  Once checked is set the source is pinned and end is
 * known.
 */
void reader_open(struct reader *r, int64_t most, int64_t now);

/* From first to end.  One that reads a source without ranges and is just there goes on, as does one that has opened it. */
void reader_begin(struct reader *r, int64_t first, int64_t end, int64_t now);

/* From outside of callbacks: starts, resumes, ends.  Returns 0, or -1 with a failure; then reader_again() or reader_drop(). */
int reader_run(struct reader *r, int64_t now, int64_t *wake, struct failure *f);

/* Takes up again where it was, at that time. */
void reader_again(struct reader *r, int64_t at);

/* Ends a GET that has been paused for too long; another takes it up.  Returns true if it has. */
bool reader_watch_pause(struct reader *r, int64_t now);

/* True if all bytes before until are known to have come well. */
bool reader_is_sure(const struct reader *r, int64_t until);

void reader_drop(struct reader *r);

#endif
