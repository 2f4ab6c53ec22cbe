/*
 * The destination's side of a pipe: takes a part's bytes out of the ring and sends them as one PUT, or writes them to the file,
 * with CRC64, and MD5 or CRC32C where the destination is verified by it, computed as they leave.
 *
 * The last bytes of a part go out only when the reader is sure of all of them (writer->sure): so no server ever has a whole
 * part, or a whole object, of which the source's side failed.
 */
#ifndef WORKER_WRITER_H
#define WORKER_WRITER_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>

#include "worker/aws_chunked.h"
#include "worker/failure.h"
#include "worker/http.h"
#include "worker/ring.h"
#include "worker/transfer.h"

struct writer {
	struct transfer *t;
	struct ring *ring;
	EVP_MD_CTX *md5; /* NULL if it is not wanted */
	enum http_buffers buffers;
	bool sending;
	bool paused;
	bool sure;
	bool done;
	int number; /* of the part, 0: the whole object */
	int64_t offset;
	int64_t size;
	int64_t taken; /* out of the ring */
	int64_t counted; /* in the checksums; those that follow taken are still in the ring */
	int64_t pushed; /* a file: on its way to the disk */
	int64_t moved; /* http_sent() of late */
	int64_t arrived; /* http_arrived() of late, asked only while the kernel takes no more */
	int64_t moved_at;
	uint64_t crc64;
	bool framed; /* the destination is verified by CRC32C, which follows the body in a trailer */
	struct aws_chunked frame;
	uint32_t crc32c;
	char etag[S3XML_ETAG_MAX]; /* once done */
	bool has_server_crc64;
	uint64_t server_crc64;
	struct http_request put; /* last, being large */
};

void writer_init(struct writer *w, struct transfer *t, struct ring *ring, enum http_buffers buffers);

/* number 0: the object in one PUT. */
void writer_begin(struct writer *w, int number, int64_t offset, int64_t size, int64_t now);

/* From outside of callbacks.  Returns 0, with w->done when the destination has taken and confirmed all of it, or -1. */
int writer_run(struct writer *w, int64_t now, int64_t *wake, struct failure *f);

/* writer_check.c: holds the answer against what was sent, 0 or -1; says of a failed request what its frame has to do with it, -1. */
int writer_check(struct writer *w, struct failure *f);
int writer_blame_frame(struct writer *w, struct failure *f);

/* Breaks off. */
void writer_drop(struct writer *w);
void writer_release(struct writer *w);

#endif
