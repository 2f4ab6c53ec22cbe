/*
 * What the bytes must come to before they may become an object: what the row expects, and what the source says of itself.
 */
#ifndef WORKER_EXPECT_H
#define WORKER_EXPECT_H

#include "worker/transfer.h"

/*
 * Holds the CRC64 of all bytes against both.  Returns 0, or -1: permanent if the row expects another; transient if the source's
 * own checksum (x-cos-hash-crc64ecma) is another, since then they were changed on the way.  What was made of them is rotten.
 */
int expect_check(struct transfer *t, uint64_t crc64, struct failure *f);

#endif
