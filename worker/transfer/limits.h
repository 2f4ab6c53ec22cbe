/*
 * How large and how many the requests of an upload may be: by the store's documents, by the
 * configuration, and by what the store, or a proxy before it, has refused.  What is learned from
 * refusals stays in struct store, until the worker ends or is configured anew.
 *
 * A store counts parts by other rules than S3's documents (Swift takes 1,000), and proxies limit
 * the body of a request (413, Content Too Large, RFC 9110, 15.5.14).
 */
#ifndef WORKER_TRANSFER_LIMITS_H
#define WORKER_TRANSFER_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "worker/transfer/transfer.h"

/* The most parts of an upload. */
int limits_parts_max(const struct store *store);

/* The smallest part but the last, in bytes. */
int64_t limits_part_min(const struct store *store);

/* The largest body of a request that is worth a try, in bytes. */
int64_t limits_body_max(const struct store *store);

/* Notes that a request with a body of so many bytes went through. */
void limits_passed(struct store *store, int64_t body);

/*
 * The transfer has failed with t->failure.  Returns true if the failure was a refusal that the
 * limits know of by now, so that another plan may succeed.  Smaller requests are tried down to the
 * smallest part; larger parts once in a transfer (t->larger_parts).  Returns false for any other
 * failure; to the text of a request that was too large it adds what went through.
 */
bool limits_learn(struct transfer *t);

#endif
