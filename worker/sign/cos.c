/*
 * The native signature of Tencent COS.  It differs from v4: the path is signed DECODED, the signing
 * key is the hex text of a digest, and the body is never signed.
 * cloud.tencent.com/document/product/436/7778
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/base/text.h"
#include "worker/sign/private.h"
#include "worker/sign/sign.h"

#define SHA1_HEX (2 * SIGN_SHA1_BYTES + 1)
#define KEY_TIME_SIZE 48

_Static_assert(SHA1_HEX == SIGN_KEPT_BYTES, "kept.c has room for a key in hex");

/* The Authorization header's contents besides key and times. */
struct parts {
	struct sign_text header_names;
	struct sign_text query_names;
	char signature[SHA1_HEX];
};

static int
hmac_hex(const char *key, const char *text, char hex[SHA1_HEX])
{
	unsigned char mac[SIGN_SHA1_BYTES];
	int result = -1;

	if (sign_mac(SIGN_SHA1, key, strlen(key), text, mac) == 0) {
		text_hex(hex, mac, sizeof(mac));
		result = 0;
	}
	explicit_bzero(mac, sizeof(mac));
	return result;
}

/* The digest of the HttpString: method in lower case, decoded path, parameters, headers. */
static int
http_string_hash(const struct sign_request *req, const struct sign_list *query,
    const struct sign_list *headers, char hex[SHA1_HEX])
{
	struct sign_text t = { 0 };
	unsigned char digest[SIGN_SHA1_BYTES];
	int result = -1;

	sign_text_add(&t, req->method);
	text_make_lower(t.buf);
	sign_text_add(&t, "\n");
	sign_text_add(&t, req->path);
	sign_text_add(&t, "\n");
	sign_list_query(query, &t);
	sign_text_add(&t, "\n");
	sign_list_query(headers, &t);
	sign_text_add(&t, "\n");
	if (sign_digest(SIGN_SHA1, t.buf, t.len, digest) == 0) {
		text_hex(hex, digest, sizeof(digest));
		result = 0;
	}
	sign_text_release(&t);
	return result;
}

/* Writes the signing key for the times key_time, in hex. */
static int
time_key(const char *secret, const char *key_time, char hex[SIGN_KEPT_BYTES])
{
	if (sign_kept_find(secret, key_time, (unsigned char *)hex))
		return 0;
	if (hmac_hex(secret, key_time, hex) == -1)
		return -1;
	sign_kept_add(secret, key_time, (unsigned char *)hex);
	return 0;
}

static int
sign_hash(const char *secret, const char *key_time, const char *hash, char signature[SHA1_HEX])
{
	char sign_key[SHA1_HEX], text[KEY_TIME_SIZE + SHA1_HEX + 16];
	int n, result;

	if (time_key(secret, key_time, sign_key) == -1)
		return -1;
	n = snprintf(text, sizeof(text), "sha1\n%s\n%s\n", key_time, hash);
	result = n < 0 || (size_t)n >= sizeof(text) ? -1 : hmac_hex(sign_key, text, signature);
	explicit_bzero(sign_key, sizeof(sign_key));
	return result;
}

/* Fills p.  The caller releases its texts, whether this succeeds or not.  Returns 0 or -1. */
static int
parts_init(
    struct parts *p, const struct sign_request *req, const char *secret, const char *key_time)
{
	struct sign_list query, headers;
	char hash[SHA1_HEX];
	int result = -1;

	memset(p, 0, sizeof(*p));
	if (sign_list_init(&query, req->query, req->nquery, SIGN_FORM_ENCODED_LOWER, false) == -1)
		goto err1;
	if (sign_list_init(&headers, req->headers, req->nheaders, SIGN_FORM_ENCODED_LOWER, true) ==
	    -1)
		goto err0;
	sign_text_add(&p->header_names, "");
	sign_text_add(&p->query_names, "");
	sign_list_names(&headers, &p->header_names);
	sign_list_names(&query, &p->query_names);
	if (http_string_hash(req, &query, &headers, hash) == 0)
		result = sign_hash(secret, key_time, hash, p->signature);
err0:
	sign_list_release(&headers);
err1:
	sign_list_release(&query);
	return result;
}

int
sign_cos(const struct sign_request *req, const struct sign_key *key,
    const struct sign_period *period, char *out, size_t out_size)
{
	struct parts p;
	char key_time[KEY_TIME_SIZE];
	int n = -1;

	snprintf(key_time, sizeof(key_time), "%" PRIdMAX ";%" PRIdMAX, (intmax_t)period->start,
	    (intmax_t)period->end);
	if (parts_init(&p, req, key->secret_key, key_time) == 0)
		n = snprintf(out, out_size,
		    "q-sign-algorithm=sha1&q-ak=%s&q-sign-time=%s&q-key-time=%s&q-header-list=%s"
		    "&q-url-param-list=%s&q-signature=%s",
		    key->access_key, key_time, key_time, p.header_names.buf, p.query_names.buf,
		    p.signature);
	sign_text_release(&p.header_names);
	sign_text_release(&p.query_names);
	return n < 0 || (size_t)n >= out_size ? -1 : 0;
}
