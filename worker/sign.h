/*
 * Request signing, pure: request, key and time in, headers out.  No clock, no I/O, and no state but that OpenSSL's
 * contexts are kept.  Derived keys are wiped, but for the last one, which is in such a context.
 *
 * sign_v4():  AWS Signature Version 4 (docs.aws.amazon.com, "Signature Calculations for the Authorization Header"),
 *             service s3, payload UNSIGNED-PAYLOAD or the hash given.
 * sign_cos(): Tencent COS native signature (cloud.tencent.com/document/product/436/7778).
 *
 * Both take the DECODED path and query: the caller gives names and values as they are, the signer encodes as its protocol
 * says.  sign_encode() is the encoding that the URL itself must use, so that what is signed is what is sent.
 */
#ifndef WORKER_SIGN_H
#define WORKER_SIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#define SIGN_PAIRS_MAX 96
#define SIGN_AUTHORIZATION_MAX 8192 /* holds the names of as much metadata as a request can have */

struct sign_pair {
	const char *name;
	const char *value; /* "" for a key without value */
};

struct sign_request {
	const char *method; /* upper case */
	const char *path;   /* decoded, begins with '/' */
	struct sign_pair query[SIGN_PAIRS_MAX];
	int nquery;
	struct sign_pair headers[SIGN_PAIRS_MAX]; /* every header to be signed, "host" among them; any case, any order */
	int nheaders;
	const char *payload_hash; /* v4: hex SHA-256, or NULL for UNSIGNED-PAYLOAD */
};

struct sign_key {
	const char *access_key;
	const char *secret_key;
	const char *region; /* v4 only */
};

/*
 * v4: the headers x-amz-date and x-amz-content-sha256 must be among req->headers already (sign_v4_date() formats the
 * first).  Writes the value of the Authorization header.  Returns 0, or -1 if out is too small or a table overflows.
 */
int sign_v4(const struct sign_request *req, const struct sign_key *key, time_t now, char *out, size_t out_size);
void sign_v4_date(time_t now, char *out, size_t out_size); /* "20130524T000000Z"; size >= 17 */

/* v4 in the query (a pre-signed URL): writes the 64 hex digits of X-Amz-Signature; req->query holds the other X-Amz-* parameters. */
int sign_v4_presign(const struct sign_request *req, const struct sign_key *key, time_t now, char *out, size_t out_size);

/* COS: valid from start to end (Unix seconds).  Writes the value of the Authorization header.  Returns 0 or -1. */
int sign_cos(const struct sign_request *req, const struct sign_key *key, time_t start, time_t end, char *out,
    size_t out_size);

/* Wipes the keys that were derived of secrets and kept. */
void sign_forget_keys(void);

/* Percent-encodes in into out, all but A-Za-z0-9-_.~ (and '/' if keep_slash), upper-case hex.  Returns the length, or -1 if out is too small. */
int sign_encode(const char *in, bool keep_slash, char *out, size_t out_size);

#endif
