/*
 * The document that CompleteMultipartUpload sends.
 */
#ifndef WORKER_STORE_COMPLETE_H
#define WORKER_STORE_COMPLETE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store_etag {
	int number;
	const char *etag;
	bool has_crc32c;
	uint32_t crc32c;
};

/* Lists the parts, which must ascend.  Returns a heap string of length *len, never NULL. */
char *store_complete_body(const struct store_etag *parts, int nparts, size_t *len);

#endif
