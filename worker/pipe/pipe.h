/*
 * One part in flight: a reader and a writer with a ring between them, their retries, and a watchdog
 * on both.
 */
#ifndef WORKER_PIPE_PIPE_H
#define WORKER_PIPE_PIPE_H

#include <stdint.h>

#include "worker/base/failure.h"
#include "worker/base/ring.h"
#include "worker/transfer/transfer.h"
#include "worker/pipe/reader.h"
#include "worker/pipe/writer.h"

enum pipe_state {
	PIPE_IDLE,
	PIPE_BUSY,
	PIPE_DONE,
	PIPE_RETURNED, /* broken off; another pipe may begin the part anew */
	PIPE_FAILED,
};

struct pipe {
	struct transfer *t;
	enum pipe_state state;

	/* The part. */
	int number; /* 0: the whole object in one PUT */
	int64_t first; /* offset in the object, in bytes */
	int64_t size; /* bytes */

	/* Its tries.  The reader counts GETs. */
	int puts; /* that failed: a store keeps nothing of a part that was cut off */
	int64_t begun_at; /* the latest, on clock_ms() */
	int64_t retry_at; /* when the writer starts over, on clock_ms(); 0: no retry is due */
	int throttled; /* "slow down" answers that task/move.c has not seen yet */
	struct failure failure; /* with PIPE_FAILED */

	struct ring ring;
	struct reader *reader; /* heap */
	struct writer writer;
};

/* The buffers of a pipe that is made while there are i others. */
enum http_buffers pipe_buffers(const struct transfer *t, int i);

/* The size of its ring in bytes. */
size_t pipe_ring_size(enum http_buffers buffers);

/* The first pipe takes over the reader and the ring of t->opening. */
void pipe_init(struct pipe *p, struct transfer *t);

/* Frees what the pipe holds. */
void pipe_release(struct pipe *p);

/* Begins a part; number 0: the whole object in one PUT. */
void pipe_begin(struct pipe *p, int number, int64_t first, int64_t size, int64_t now);

/* Breaks the part off, so that another pipe may begin it anew: PIPE_RETURNED. */
void pipe_return(struct pipe *p);

/* Moves the pipe along, until its state is PIPE_DONE or PIPE_FAILED. */
void pipe_run(struct pipe *p, int64_t now, int64_t *wake);

#endif
