/*
 * The source's side of a pipe: brings the bytes of a range into a ring, from a file or by a GET
 * that can be broken off and continued at any offset.  A GET is paused while the ring is full, and
 * broken off before a server loses patience with the pause.
 *
 * Redirects are followed in the middle of a source, too.  If a URL that the source was redirected
 * to refuses a GET, the task's own URL is asked, once at each offset: it may lead to another URL
 * that is good for some minutes more.  The pin tells whether the object is still the same.
 */
#ifndef WORKER_PIPE_READER_H
#define WORKER_PIPE_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "worker/base/failure.h"
#include "worker/base/ring.h"
#include "worker/http/http.h"
#include "worker/endpoint/source.h"
#include "worker/pipe/patience.h"

struct reader {
	struct worker *w;
	struct source *source;
	struct ring *ring;
	enum http_buffers buffers;

	/* The GET. */
	bool reading; /* it is under way */
	bool paused; /* it waits for room in the ring, or for a rate */
	bool checked; /* the answer's head was compared with the pin */
	bool opening; /* its answer is the first about the source, and makes the pin */
	bool opened; /* it has made the pin, and no part has taken over its bytes yet */
	bool overlong; /* a body was longer than its range, so that no byte of it can be trusted */

	/* Every byte up to end has entered the ring, and the source's side ended well. */
	bool ended;

	/* Offsets in the source, in bytes. */
	int64_t offset; /* of the next byte to enter the ring */
	int64_t end; /* of the range; -1: the end of the source */
	int64_t get_end; /* of the GET that is under way, likewise */
	int64_t skip; /* bytes still to be left out, if the source has no ranges */
	int64_t get_first; /* where the latest GET began */
	int64_t turned_at; /* where the task's own URL was asked once more; -1: nowhere */

	struct patience patience;

	/* Where a URL is asked. */
	int asked; /* source->moves when the latest GET was sent */
	int redirects; /* followed one after the other */

	/* Times on clock_ms(). */
	int64_t moved_at; /* of the last byte, or of waiting that is no fault of the source */
	int64_t paused_at;
	int64_t retry_at; /* when to start the next GET; 0: at once */

	struct http_request get; /* last, since it is large: reader_init() leaves it out */
};

/* source and ring must outlive the reader. */
void reader_init(struct reader *r, struct worker *w, struct source *source, struct ring *ring,
    enum http_buffers buffers);

/*
 * Begins to read a source that is not pinned yet, up to most bytes.  Once checked is set, the
 * source is pinned and end is known.  A GET that is done and not checked has not pinned:
 * source_take_answer() says why.
 */
void reader_open(struct reader *r, int64_t most, int64_t now);

/*
 * Begins to read from first to end.  If the GET under way already stands at first, it goes on:
 * after reader_open(), or for a source without ranges.
 */
void reader_begin(struct reader *r, int64_t first, int64_t end, int64_t now);

/*
 * Moves the reader along; not to be called inside callbacks.  Returns 0, or -1 with a failure: then
 * reader_again() or reader_drop() must follow.
 */
int reader_run(struct reader *r, int64_t now, int64_t *wake, struct failure *f);

/*
 * True if a GET from first on would bring the same bytes as the GET before: the pin holds, or it is
 * the beginning.  An answer without pin cannot be told from an answer about other bytes.
 */
bool reader_may_read(const struct reader *r, int64_t first);

/*
 * Starts another GET at that time, from the offset where this one has stopped, after one that
 * brought nothing at the task's own URL.  If nothing is left, none is started.
 */
void reader_again(struct reader *r, int64_t at);

/* Ends a GET that was paused for too long; another continues.  Returns true if it did. */
bool reader_watch_pause(struct reader *r, int64_t now);

/* True if every byte before until has come, and the last one well. */
bool reader_is_sure(const struct reader *r, int64_t until);

/* Ends the GET. */
void reader_drop(struct reader *r);

#endif
