/*
 * AWS Signature Version 4 for the service s3: canonical request, string to sign, derived key.
 * docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 */
#include <stdio.h>
#include <string.h>

#include "common/base/text.h"
#include "worker/sign/private.h"
#include "worker/sign/sign.h"

#define SHA256_HEX (2 * SIGN_SHA256_BYTES + 1)
#define DATE_SIZE 17 /* 20130524T000000Z and a NUL */
#define SCOPE_SIZE 128

struct canonical {
	struct sign_text names; /* of the signed headers */
	char hash[SHA256_HEX]; /* of the canonical request */
};

void
sign_v4_date(time_t now, char *out, size_t out_size)
{
	struct tm tm;

	gmtime_r(&now, &tm);
	if (strftime(out, out_size, "%Y%m%dT%H%M%SZ", &tm) == 0 && out_size > 0)
		out[0] = '\0';
}

/* "20130524/us-east-1/s3/aws4_request" */
static int
scope_format(const char *region, const char *date, char *out, size_t out_size)
{
	int n = snprintf(out, out_size, "%.8s/%s/s3/aws4_request", date, region);

	return n < 0 || (size_t)n >= out_size ? -1 : 0;
}

/*
 * Writes the canonical request.  The path is encoded once and not normalised: in S3, "a/../b" and
 * "a//b" are names like any other.
 */
static void
canonical_text(const struct sign_request *req, const struct sign_list *query,
    const struct sign_list *headers, const char *names, struct sign_text *t)
{
	int i;

	sign_text_add(t, req->method);
	sign_text_add(t, "\n");
	sign_text_add_encoded(t, req->path, true);
	sign_text_add(t, "\n");
	sign_list_query(query, t);
	sign_text_add(t, "\n");
	for (i = 0; i < headers->n; i++) {
		sign_text_add(t, headers->pair[i].name);
		sign_text_add(t, ":");
		sign_text_add(t, headers->pair[i].value);
		sign_text_add(t, "\n");
	}
	sign_text_add(t, "\n");
	sign_text_add(t, names);
	sign_text_add(t, "\n");
	sign_text_add(t, req->payload_hash != NULL ? req->payload_hash : "UNSIGNED-PAYLOAD");
}

/* Fills c.  The caller releases c->names, whether this succeeds or not.  Returns 0 or -1. */
static int
canonical_init(struct canonical *c, const struct sign_request *req)
{
	struct sign_list query, headers;
	struct sign_text text = { 0 };
	unsigned char digest[SIGN_SHA256_BYTES];
	int result = -1;

	memset(c, 0, sizeof(*c));
	if (sign_list_init(&query, req->query, req->nquery, SIGN_FORM_ENCODED, false) == -1)
		goto err1;
	if (sign_list_init(&headers, req->headers, req->nheaders, SIGN_FORM_LOWER_TRIMMED, true) ==
	    -1)
		goto err0;
	sign_list_names(&headers, &c->names);
	if (c->names.buf == NULL)
		goto err0;
	canonical_text(req, &query, &headers, c->names.buf, &text);
	if (sign_digest(SIGN_SHA256, text.buf, text.len, digest) == -1)
		goto err0;
	text_hex(c->hash, digest, sizeof(digest));
	result = 0;
err0:
	sign_text_release(&text);
	sign_list_release(&headers);
err1:
	sign_list_release(&query);
	return result;
}

/* Derives the key step by step, and wipes each step's key. */
static int
derive(const struct sign_key *key, const char *date, unsigned char *out)
{
	unsigned char a[SIGN_SHA256_BYTES], b[SIGN_SHA256_BYTES];
	char secret[512], day[9];
	int n, result = -1;

	n = snprintf(secret, sizeof(secret), "AWS4%s", key->secret_key);
	memcpy(day, date, 8);
	day[8] = '\0';
	if (n >= 0 && (size_t)n < sizeof(secret) &&
	    sign_mac(SIGN_SHA256, secret, (size_t)n, day, a) == 0 &&
	    sign_mac(SIGN_SHA256, a, sizeof(a), key->region, b) == 0 &&
	    sign_mac(SIGN_SHA256, b, sizeof(b), "s3", a) == 0)
		result = sign_mac(SIGN_SHA256, a, sizeof(a), "aws4_request", out);
	explicit_bzero(secret, sizeof(secret));
	explicit_bzero(a, sizeof(a));
	explicit_bzero(b, sizeof(b));
	return result;
}

int
sign_v4_key(const struct sign_key *key, const char *date, unsigned char *out)
{
	unsigned char kept[SIGN_KEPT_BYTES] = { 0 };
	char scope[SCOPE_SIZE];
	int result = 0;

	if (scope_format(key->region, date, scope, sizeof(scope)) == -1)
		return -1;
	if (!sign_kept_find(key->secret_key, scope, kept) &&
	    (result = derive(key, date, kept)) == 0)
		sign_kept_add(key->secret_key, scope, kept);
	memcpy(out, kept, SIGN_SHA256_BYTES);
	explicit_bzero(kept, sizeof(kept));
	return result;
}

/* Writes the signature of the string to sign, in hex. */
static int
sign_hash(const struct canonical *c, const struct sign_key *key, const char *date,
    const char *scope, char hex[SHA256_HEX])
{
	unsigned char derived[SIGN_SHA256_BYTES], mac[SIGN_SHA256_BYTES];
	char text[SCOPE_SIZE + SHA256_HEX + 64];
	int n, result = -1;

	n = snprintf(text, sizeof(text), "AWS4-HMAC-SHA256\n%s\n%s\n%s", date, scope, c->hash);
	if (n < 0 || (size_t)n >= sizeof(text) || sign_v4_key(key, date, derived) == -1)
		return -1;
	if (sign_mac(SIGN_SHA256, derived, sizeof(derived), text, mac) == 0) {
		text_hex(hex, mac, sizeof(mac));
		result = 0;
	}
	explicit_bzero(derived, sizeof(derived));
	return result;
}

int
sign_v4(const struct sign_request *req, const struct sign_key *key, time_t now, char *out,
    size_t out_size)
{
	struct canonical c;
	char date[DATE_SIZE], scope[SCOPE_SIZE], hex[SHA256_HEX];
	int n = -1;

	sign_v4_date(now, date, sizeof(date));
	if (canonical_init(&c, req) == 0 &&
	    scope_format(key->region, date, scope, sizeof(scope)) == 0 &&
	    sign_hash(&c, key, date, scope, hex) == 0)
		n = snprintf(out, out_size,
		    "AWS4-HMAC-SHA256 Credential=%s/%s,SignedHeaders=%s,Signature=%s",
		    key->access_key, scope, c.names.buf, hex);
	sign_text_release(&c.names);
	return n < 0 || (size_t)n >= out_size ? -1 : 0;
}

int
sign_v4_presign(const struct sign_request *req, const struct sign_key *key, time_t now, char *out,
    size_t out_size)
{
	struct canonical c;
	char date[DATE_SIZE], scope[SCOPE_SIZE], hex[SHA256_HEX];
	int n = -1;

	sign_v4_date(now, date, sizeof(date));
	if (canonical_init(&c, req) == 0 &&
	    scope_format(key->region, date, scope, sizeof(scope)) == 0 &&
	    sign_hash(&c, key, date, scope, hex) == 0)
		n = snprintf(out, out_size, "%s", hex);
	sign_text_release(&c.names);
	return n < 0 || (size_t)n >= out_size ? -1 : 0;
}
