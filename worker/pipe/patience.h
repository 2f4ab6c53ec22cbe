/*
 * Patience with a source: a GET that brought a byte was not in vain, since the next one begins
 * behind it.  Only GETs in vain are counted, one after the other.
 */
#ifndef WORKER_PIPE_PATIENCE_H
#define WORKER_PIPE_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "worker/base/failure.h"

struct patience {
	int64_t failed_at; /* offset in bytes of the latest failure, or where the range begins */
	int vain;
};

static inline void
patience_begin(struct patience *p, int64_t first)
{
	p->failed_at = first;
	p->vain = 0;
}

/* True if bytes have come since the latest failure. */
static inline bool
patience_gained(const struct patience *p, int64_t offset)
{
	return offset > p->failed_at;
}

/* Counts the failure f at that offset.  Returns how many were in vain, at least 1. */
static inline int
patience_count(struct patience *p, int64_t offset, const struct failure *f)
{
	p->vain = patience_gained(p, offset) ? 0 : p->vain + failure_counts(f);
	p->failed_at = offset;
	return p->vain > 0 ? p->vain : 1;
}

#endif
