/*
 * Request signing.  Pure: request, key and time in, headers out.  No clock and no I/O; the only
 * state are OpenSSL's contexts and derived keys (sign_forget_keys).
 *
 * sign_v4(): AWS Signature Version 4 (docs.aws.amazon.com, "Signature Calculations for the
 * Authorization Header"), service s3, payload UNSIGNED-PAYLOAD or the hash given.
 * sign_cos(): Tencent COS native signature (cloud.tencent.com/document/product/436/7778).
 *
 * Both take the path and the query DECODED, and encode them as their protocol says.  The URL must
 * be encoded by sign_encode(), so that it is sent as it was signed.
 */
#ifndef WORKER_SIGN_SIGN_H
#define WORKER_SIGN_SIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#define SIGN_PAIRS_MAX 256
#define SIGN_QUERY_MAX 32
#define SIGN_AUTHORIZATION_MAX 16384 /* has room for the names of all headers of a request */

struct sign_pair {
	const char *name;
	const char *value; /* "" for a key without value */
};

struct sign_request {
	const char *method; /* upper case */
	const char *path; /* decoded, begins with '/' */
	struct sign_pair query[SIGN_QUERY_MAX];
	int nquery;
	struct sign_pair headers[SIGN_PAIRS_MAX]; /* with "host"; in any case and order */
	int nheaders;
	const char *payload_hash; /* v4: hex SHA-256, or NULL for UNSIGNED-PAYLOAD */
};

struct sign_key {
	const char *access_key;
	const char *secret_key;
	const char *region; /* v4 only */
};

/* Writes "20130524T000000Z"; out_size must be 17 or more. */
void sign_v4_date(time_t now, char *out, size_t out_size);

/*
 * v4: writes the value of the Authorization header.  req->headers must hold x-amz-date (by
 * sign_v4_date()) and x-amz-content-sha256.  Returns 0, or -1 if out is too small or a table
 * overflows.
 */
int sign_v4(const struct sign_request *req, const struct sign_key *key, time_t now, char *out,
    size_t out_size);

/*
 * v4 in the query (a pre-signed URL): writes the 64 hex digits of X-Amz-Signature.  req->query must
 * hold the other X-Amz-* parameters.  Returns 0 or -1.
 */
int sign_v4_presign(const struct sign_request *req, const struct sign_key *key, time_t now,
    char *out, size_t out_size);

/* When a signature of COS is valid. */
struct sign_period {
	time_t start;
	time_t end;
};

/* COS: writes the value of the Authorization header.  Returns 0 or -1. */
int sign_cos(const struct sign_request *req, const struct sign_key *key,
    const struct sign_period *period, char *out, size_t out_size);

/* Wipes all derived keys. */
void sign_forget_keys(void);

/*
 * Percent-encodes in: all bytes but A-Za-z0-9-_.~ (and '/' if keep_slash), with upper-case digits.
 * Returns the length, or -1 if out is too small.
 */
int sign_encode(const char *in, bool keep_slash, char *out, size_t out_size);

#endif
