/*
 * How long a destination may be silent.
 */
#ifndef WORKER_PIPE_SILENCE_H
#define WORKER_PIPE_SILENCE_H

#include <stdint.h>

#include "worker/base/failure.h"
#include "worker/pipe/writer.h"

/*
 * How long the destination may be silent now, in ms.  As long as bytes are on their way:
 * stall_timeout.  When its machine has acknowledged the whole body: answer_timeout, since a store
 * or a proxy that keeps the body first has much to do before it answers.
 */
int64_t silence_limit(const struct writer *w);

/* The destination was silent for longer.  Returns -1 with a failure. */
int silence_failed(const struct writer *w, struct failure *f);

#endif
