/*
 * The destination's side of a pipe: takes a part's bytes out of the ring, and sends them as one PUT
 * or writes them to the file.  Computes the checksums as the bytes leave: CRC64 always, MD5 or
 * CRC32C if the destination is verified by it.
 *
 * The last bytes of a part leave only when the reader is sure of all of them (writer->sure).  So no
 * server ever has a whole part, or a whole object, if the source's side failed.
 */
#ifndef WORKER_PIPE_WRITER_H
#define WORKER_PIPE_WRITER_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>

#include "worker/base/failure.h"
#include "worker/base/ring.h"
#include "worker/store/chunked.h"
#include "worker/http/http.h"
#include "worker/transfer/transfer.h"

struct writer {
	struct transfer *t;
	struct ring *ring;
	enum http_buffers buffers;

	/* The part. */
	int number; /* 0: the whole object in one PUT */
	int64_t offset; /* in the object, in bytes */
	int64_t size; /* bytes */

	/* The PUT. */
	bool sending; /* it is under way */
	bool paused; /* it waits for bytes in the ring, or for a rate */
	bool sure; /* the pipe says: every byte of the part has come well */
	bool done; /* the destination has taken and confirmed the part */
	bool damaged; /* the destination got other bytes than were sent */

	/* Bytes of the part. */
	int64_t taken; /* out of the ring */
	int64_t counted; /* in the checksums; never less than taken */
	int64_t pushed; /* a file: those that are on their way to the disk */
	int64_t moved; /* http_sent() when last asked */
	int64_t arrived; /* http_arrived() when last asked */
	int64_t moved_at; /* of the last progress, on clock_ms() */

	/* The checksums so far. */
	uint64_t crc64;
	uint32_t crc32c; /* if framed */
	EVP_MD_CTX *md5; /* NULL: not wanted */

	/* A body with its CRC32C in a trailer: store/chunked.h. */
	bool framed;
	struct aws_chunked frame;

	/* The answer, once done. */
	char etag[S3XML_ETAG_MAX];
	bool has_server_crc64;
	uint64_t server_crc64;

	struct http_request put; /* last, since it is large: writer_init() leaves it out */
};

void writer_init(
    struct writer *w, struct transfer *t, struct ring *ring, enum http_buffers buffers);

/* Begins a part; number 0: the whole object in one PUT. */
void writer_begin(struct writer *w, int number, int64_t offset, int64_t size, int64_t now);

/*
 * Moves the writer along; not to be called inside callbacks.  Returns 0, with w->done when the
 * destination has taken and confirmed the part, or -1 with a failure.
 */
int writer_run(struct writer *w, int64_t now, int64_t *wake, struct failure *f);

/*
 * After a failure: if the destination got other bytes than were sent, counts the part in t->damaged
 * and warns.
 */
void writer_note_damage(const struct writer *w, const struct failure *f);

/* Ends the PUT. */
void writer_drop(struct writer *w);

/* Frees what the writer holds. */
void writer_release(struct writer *w);

#endif
