/*
 * Signature V4: the vectors that Amazon published, and odd keys, parameters and headers.
 */
#include <stdlib.h>

#include "common/base/text.h"
#include "tests/unit/tap.h"
#include "tests/unit/sign_v4_vectors.h"
#include "worker/sign/sign.h"
#include "worker/sign/private.h"

#define NOW 1369353600 /* 20130524T000000Z */
#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static const struct sign_key key = {
	.access_key = "AKIAIOSFODNN7EXAMPLE",
	.secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
	.region = "us-east-1",
};

static const char *
signature(const struct sign_request *req)
{
	static char out[SIGN_AUTHORIZATION_MAX];
	char *p;

	if (sign_v4(req, &key, NOW, out, sizeof(out)) == -1)
		return "(refused)";
	p = strstr(out, "Signature=");
	return p != NULL ? p + 10 : out;
}

#define COMMON_HEADERS                                   \
	{ "x-amz-date", "20130524T000000Z" },            \
	{                                                \
		"Host", "examplebucket.s3.amazonaws.com" \
	}

static void
test_published(void)
{
	struct sign_request get = { .method = "GET",
		.path = "/test.txt",
		.payload_hash = EMPTY_SHA256,
		.nheaders = 4,
		.headers = { COMMON_HEADERS, { "Range", "bytes=0-9" },
		    { "x-amz-content-sha256", EMPTY_SHA256 } } };
	const char *body = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
	struct sign_request put = { .method = "PUT",
		.path = "/test$file.text",
		.payload_hash = body,
		.nheaders = 5,
		.headers = { COMMON_HEADERS, { "Date", "Fri, 24 May 2013 00:00:00 GMT" },
		    { "x-amz-storage-class", "REDUCED_REDUNDANCY" },
		    { "x-amz-content-sha256", body } } };
	struct sign_request lifecycle = { .method = "GET",
		.path = "/",
		.payload_hash = EMPTY_SHA256,
		.nquery = 1,
		.query = { { "lifecycle", "" } },
		.nheaders = 3,
		.headers = { COMMON_HEADERS, { "x-amz-content-sha256", EMPTY_SHA256 } } };
	struct sign_request list = { .method = "GET",
		.path = "/",
		.payload_hash = EMPTY_SHA256,
		.nquery = 2,
		.query = { { "prefix", "J" }, { "max-keys", "2" } },
		.nheaders = 3,
		.headers = { COMMON_HEADERS, { "x-amz-content-sha256", EMPTY_SHA256 } } };
	char out[SIGN_AUTHORIZATION_MAX];

	is_str(signature(&get), "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
	    "GET of a range");
	is_str(signature(&put), "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
	    "PUT with a body");
	is_str(signature(&lifecycle),
	    "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
	    "a parameter without value");
	is_str(signature(&list), "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
	    "parameters, given in another order");
	is_int(sign_v4(&get, &key, NOW, out, sizeof(out)), 0, "signed");
	is_str(out,
	    "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
	    "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
	    "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
	    "the whole header");
	is_int(sign_v4(&get, &key, NOW, out, strlen(out)), -1,
	    "a buffer one byte too small is refused");
}

static void
test_key(void)
{
	unsigned char derived[32];
	char hex[65];

	is_int(sign_v4_key(&key, "20130524T000000Z", derived), 0, "a key is derived");
	text_hex(hex, derived, sizeof(derived));
	is_str(hex, "dbb893acc010964918f1fd433add87c70e8b0db6be30c1fbeafefa5ec6ba8378",
	    "the signing key");
}

/* More secrets than kept.c has places for; each key must be the same again. */
static void
test_kept_keys(void)
{
	unsigned char first[20][32], again[32];
	struct sign_key other = key;
	char secret[32];
	int i, round;

	other.secret_key = secret;
	for (round = 0; round < 2; round++)
		for (i = 0; i < 20; i++) {
			snprintf(secret, sizeof(secret), "secret %d", i);
			is_int(
			    sign_v4_key(&other, "20130524T000000Z", round == 0 ? first[i] : again),
			    0, "key %d", i);
			if (round == 1)
				ok(memcmp(first[i], again, 32) == 0, "key %d is the same again", i);
		}
	is_int(sign_v4_key(&other, "20130524T235959Z", again), 0, "later that day");
	ok(memcmp(first[19], again, 32) == 0, "it is the same key");
	is_int(sign_v4_key(&other, "20130525T000000Z", again), 0, "on another day");
	ok(memcmp(first[19], again, 32) != 0, "it is another key");
	other.region = "eu-west-1";
	is_int(sign_v4_key(&other, "20130524T000000Z", again), 0, "in another region");
	ok(memcmp(first[19], again, 32) != 0, "it is another key");
	sign_forget_keys();
	test_key();
}

/* A marked key in the place of the kept one is found until all keys are wiped. */
static void
test_key_is_derived_once(void)
{
	static const unsigned char marked[SIGN_KEPT_BYTES] = "marked";
	unsigned char out[32];

	sign_forget_keys();
	sign_kept_add(key.secret_key, "20130524/us-east-1/s3/aws4_request", marked);
	is_int(sign_v4_key(&key, "20130524T000000Z", out), 0, "a key");
	ok(memcmp(out, marked, sizeof(out)) == 0, "it is the kept one");
	sign_forget_keys();
	test_key();
	ok(sign_kept_find(key.secret_key, "20130524/us-east-1/s3/aws4_request",
	       (unsigned char[SIGN_KEPT_BYTES]){ 0 }),
	    "and a derived one is kept");
}

static void
test_presigned(void)
{
	struct sign_request get = { .method = "GET",
		.path = "/test.txt",
		.nquery = 5,
		.query = { { "X-Amz-Algorithm", "AWS4-HMAC-SHA256" },
		    { "X-Amz-Credential",
			"AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request" },
		    { "X-Amz-Date", "20130524T000000Z" }, { "X-Amz-Expires", "86400" },
		    { "X-Amz-SignedHeaders", "host" } },
		.nheaders = 1,
		.headers = { { "host", "examplebucket.s3.amazonaws.com" } } };
	char out[65];

	is_int(sign_v4_presign(&get, &key, NOW, out, sizeof(out)), 0, "a URL is signed");
	is_str(out, "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
	    "the pre-signed URL");
	is_int(sign_v4_presign(&get, &key, NOW, out, 64), -1, "64 bytes have no room for the NUL");
}

static void
test_date(void)
{
	char out[32];

	sign_v4_date(NOW, out, sizeof(out));
	is_str(out, "20130524T000000Z", "the date");
	sign_v4_date(0, out, sizeof(out));
	is_str(out, "19700101T000000Z", "the first one");
	sign_v4_date(NOW, out, 16);
	is_str(out, "", "a buffer that is too small stays empty");
}

/* Computed with botocore 1.29. */
static void
test_odd(void)
{
	for (size_t i = 0; i < sizeof(odd_keys) / sizeof(odd_keys[0]); i++) {
		struct sign_request put = { .method = "PUT",
			.path = odd_keys[i].path,
			.nquery = 2,
			.query = { { "uploadId", "2~a/b+c=" }, { "partNumber", "1" } },
			.nheaders = 4,
			.headers = { COMMON_HEADERS, { "x-amz-content-sha256", "UNSIGNED-PAYLOAD" },
			    { "x-amz-meta-note", "  two  blanks,\xc3\xbc  " } } };

		is_str(signature(&put), odd_keys[i].signature, "the key %s", odd_keys[i].path);
	}
}

static void
test_tables(void)
{
	struct sign_request req = { .method = "GET",
		.path = "/a",
		.nheaders = 2,
		.headers = { { "Host", "a" }, { "host", "b" } } };
	static char long_secret[600];
	struct sign_key big = key;
	char out[SIGN_AUTHORIZATION_MAX];

	is_str(signature(&req), "(refused)", "a header that comes twice is refused");
	req.nheaders = SIGN_PAIRS_MAX + 1;
	is_str(signature(&req), "(refused)", "more headers than the table holds are refused");
	req.nheaders = 1;
	req.nquery = -1;
	is_str(signature(&req), "(refused)", "a negative number of parameters is refused");
	req.nquery = 0;
	memset(long_secret, 'x', sizeof(long_secret) - 1);
	big.secret_key = long_secret;
	is_int(
	    sign_v4(&req, &big, NOW, out, sizeof(out)), -1, "a secret longer than any is refused");
	big = key;
	big.region = long_secret;
	is_int(sign_v4(&req, &big, NOW, out, sizeof(out)), -1, "and so is a long region");
}

static void
test_encode(void)
{
	char all[256], out[3 * 256], small[4];

	for (int i = 1; i < 256; i++)
		all[i - 1] = (char)i;
	all[255] = '\0';
	is_int(sign_encode(all, false, out, sizeof(out)), 66 + 3 * (255 - 66),
	    "all bytes but 66 are encoded");
	is_int(
	    sign_encode(all, true, out, sizeof(out)), 67 + 3 * (255 - 67), "and 67 with the slash");
	is_int(sign_encode("a/b~c d\xff", true, out, sizeof(out)), 12, "encoded");
	is_str(out, "a/b~c%20d%FF", "in upper-case hex");
	is_int(sign_encode("a/b", false, out, sizeof(out)), 5, "a slash of a parameter");
	is_str(out, "a%2Fb", "is encoded");
	is_int(sign_encode("abc", true, small, sizeof(small)), 3, "a text that just fits");
	is_int(sign_encode("abcd", true, small, sizeof(small)), -1,
	    "a text that is one byte too long");
	is_int(
	    sign_encode("a%", true, small, sizeof(small)), -1, "an escape that does not fit whole");
	is_int(sign_encode("", true, small, 1), 0, "nothing");
	is_int(sign_encode("", true, small, 0), -1, "an empty buffer has no room for the NUL");
}

int
main(void)
{
	test_published();
	test_key();
	test_kept_keys();
	test_key_is_derived_once();
	test_presigned();
	test_date();
	test_odd();
	test_tables();
	test_encode();
	return done_testing();
}
