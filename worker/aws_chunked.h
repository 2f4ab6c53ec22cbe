/*
 * The framing aws-chunked with a trailer, by which a PUT to S3 brings the checksum of its body behind the body, when it is known:
 * chunks of data with their lengths in hexadecimal before them, then one of length 0, the trailer, and an empty line.  The server
 * checks it before it takes the object, and answers BadDigest if it differs.  (docs.aws.amazon.com/AmazonS3/latest/API,
 * "Signature calculations ... including trailing headers"; here x-amz-content-sha256 is STREAMING-UNSIGNED-PAYLOAD-TRAILER, so
 * chunks have no signatures.)  It is no transfer coding: the length of the whole is known before, and is the Content-Length.
 *
 * The data does not pass through here: between the edges that this module writes goes as much as there is room in the chunk.
 */
#ifndef WORKER_AWS_CHUNKED_H
#define WORKER_AWS_CHUNKED_H

#include <stddef.h>
#include <stdint.h>

#define AWS_CHUNKED_EDGE 64

struct aws_chunked {
	int64_t room; /* data that is left to this chunk */
	int64_t left; /* data that is left beyond it */
	size_t edge_len;
	size_t edge_at; /* what is written of it */
	char edge[AWS_CHUNKED_EDGE];
};

/* Bytes of a body with its frame, of size bytes of data. */
int64_t aws_chunked_length(int64_t size);

void aws_chunked_begin(struct aws_chunked *f, int64_t size);

/* Writes what has to come before more data, or after all of it, max bytes at most.  Returns how many. */
size_t aws_chunked_edge(struct aws_chunked *f, char *buf, size_t max);

/* How much data may come next.  0 while an edge has not been written to its end. */
int64_t aws_chunked_room(const struct aws_chunked *f);

/* len bytes of data have gone, no more than there was room; crc32c is that of all so far. */
void aws_chunked_advance(struct aws_chunked *f, int64_t len, uint32_t crc32c);

#endif
