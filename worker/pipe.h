/*
 * One part on its way: a reader and a writer with a ring between them, their retries, and a watchdog on the pair.
 */
#ifndef WORKER_PIPE_H
#define WORKER_PIPE_H

#include <stdint.h>

#include "worker/failure.h"
#include "worker/reader.h"
#include "worker/ring.h"
#include "worker/transfer.h"
#include "worker/writer.h"

enum pipe_state { PIPE_IDLE, PIPE_BUSY, PIPE_DONE, PIPE_RETURNED, PIPE_FAILED };

struct pipe {
	struct transfer *t;
	enum pipe_state state;
	int number;
	int64_t first;
	int64_t size;
	int tries;
	int64_t begun_at; /* the latest try */
	int64_t retry_at; /* the writer's; 0: none due */
	int throttled; /* how often a store said "slow down", in all */
	struct ring ring;
	struct reader *reader; /* heap */
	struct writer writer;
	struct failure failure; /* with PIPE_FAILED */
};

/* How large the buffers are of a pipe that is made while there are i others, and its ring, in bytes. */
enum http_buffers pipe_buffers(const struct transfer *t, int i);
size_t pipe_ring_size(enum http_buffers buffers);

/* The first takes over what has opened the source. */
void pipe_init(struct pipe *p, struct transfer *t);
void pipe_release(struct pipe *p);

/* number: of the part, or 0 for the object in one PUT. */
void pipe_begin(struct pipe *p, int number, int64_t first, int64_t size, int64_t now);

/* Breaks off what could be begun anew elsewhere: PIPE_RETURNED. */
void pipe_return(struct pipe *p);

/* Moves it along; until its state is PIPE_DONE or PIPE_FAILED. */
void pipe_run(struct pipe *p, int64_t now, int64_t *wake);

#endif
