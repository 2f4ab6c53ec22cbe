/*
 * Expectations.
 */
#include "worker/expect.h"

#include <inttypes.h>

int
expect_check(struct transfer *t, uint64_t crc64, struct failure *f)
{
	const struct task *task = t->task;
	const struct object_info *source = &t->source.info;

	if (task->has_expect_crc64 && task->expect_crc64 != crc64)
		return failure_set(f, CLASS_PERMANENT, "the source has CRC64 %" PRIu64 ", expect_crc64 is %" PRIu64, crc64,
		    task->expect_crc64);
	if (source->has_crc64 && source->crc64 != crc64) {
		t->rotten = true;
		return failure_set(f, CLASS_TRANSIENT, "what came from the source has CRC64 %" PRIu64
		    ", the source says %" PRIu64 ": changed on the way", crc64, source->crc64);
	}
	return 0;
}
