/*
 * Compares the answer to a writer's PUT with what was sent.
 */
#ifndef WORKER_PIPE_CHECK_H
#define WORKER_PIPE_CHECK_H

#include "worker/base/failure.h"
#include "worker/pipe/writer.h"

/*
 * Takes ETag and checksums from the answer, and compares them.  Returns 0, or -1 with a failure; if
 * a single PUT has made an object that differs, with outcome.spoiled too.
 */
int check_answer(struct writer *w, struct failure *f);

/* Rewrites the failure of a PUT whose frame the server does not know.  Returns -1. */
int check_frame(struct writer *w, struct failure *f);

#endif
