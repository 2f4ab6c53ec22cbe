/*
 * The framing aws-chunked with a trailer.  With it, a PUT to S3 states the checksum of its body
 * behind the body, when it is known.  The body becomes chunks of data, each after its length in
 * hexadecimal, then a chunk of length 0, the trailer, and an empty line.  The server checks the
 * checksum before it takes the object, and answers BadDigest if it differs.  The framing is no
 * transfer coding: Content-Length states the length with the frame.  Chunks carry no signatures,
 * because x-amz-content-sha256 is STREAMING-UNSIGNED-PAYLOAD-TRAILER.
 * docs.aws.amazon.com/AmazonS3/latest/API, "Signature calculations ... including trailing headers"
 *
 * The data does not pass through this module.  It writes edges; between two edges the caller sends
 * as much data as aws_chunked_room() says.
 */
#ifndef WORKER_STORE_CHUNKED_H
#define WORKER_STORE_CHUNKED_H

#include <stddef.h>
#include <stdint.h>

#define AWS_CHUNKED_EDGE 64

struct aws_chunked {
	/* bytes of data */
	int64_t room; /* left in this chunk */
	int64_t left; /* left for later chunks */

	/* the edge to be written next */
	size_t edge_len;
	size_t edge_at; /* bytes of it that are written */
	char edge[AWS_CHUNKED_EDGE];
};

/* The length of a body of size bytes of data, with its frame. */
int64_t aws_chunked_length(int64_t size);

void aws_chunked_begin(struct aws_chunked *f, int64_t size);

/*
 * Writes what must come before more data or after all of it, max bytes at most.  Returns the number
 * of bytes.
 */
size_t aws_chunked_edge(struct aws_chunked *f, char *buf, size_t max);

/* How many bytes of data may come next; 0 while an edge is not completely written. */
int64_t aws_chunked_room(const struct aws_chunked *f);

/* Notes that len bytes of data were sent; crc32c is that of all data sent so far. */
void aws_chunked_advance(struct aws_chunked *f, int64_t len, uint32_t crc32c);

#endif
