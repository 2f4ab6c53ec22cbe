/*
 * The native signature of COS: the published vectors, and requests that the vendor's own client
 * signed.
 */
#include "tests/unit/tap.h"
#include "worker/sign/sign.h"
#include "worker/sign/private.h"

static const struct sign_key key = {
	.access_key = "AKIDQjz3ltompVjBni5LitkWHFlFpwkn9U5q",
	.secret_key = "BQYIM75p8x0iWVFSIgqEKwFprpRSVHlz",
};

static const char *
authorization(const struct sign_request *req, time_t start, time_t end)
{
	static char out[SIGN_AUTHORIZATION_MAX];

	return sign_cos(req, &key, &(struct sign_period){ start, end }, out, sizeof(out)) == 0
		   ? out
		   : "(refused)";
}

static const char *
signature(const struct sign_request *req, time_t start, time_t end)
{
	const char *out = authorization(req, start, end), *p = strstr(out, "q-signature=");

	return p != NULL ? p + 12 : out;
}

#define OBJECT "/exampleobject(\xe8\x85\xbe\xe8\xae\xaf\xe4\xba\x91)"
#define HOST "examplebucket-1250000000.cos.ap-beijing.myqcloud.com"

static void
test_published(void)
{
	struct sign_request put = { .method = "PUT",
		.path = OBJECT,
		.nheaders = 7,
		.headers = { { "Date", "Thu, 16 May 2019 06:45:51 GMT" }, { "Host", HOST },
		    { "Content-Type", "text/plain" }, { "Content-Length", "13" },
		    { "Content-MD5", "mQ/fVh815F3k6TAUm8m0eg==" }, { "x-cos-acl", "private" },
		    { "x-cos-grant-read", "uin=\"100000000011\"" } } };
	struct sign_request get = { .method = "GET",
		.path = OBJECT,
		.nquery = 2,
		.query = { { "response-content-type", "application/octet-stream" },
		    { "response-cache-control", "max-age=600" } },
		.nheaders = 2,
		.headers = { { "Host", HOST }, { "Date", "Thu, 16 May 2019 06:55:53 GMT" } } };
	struct sign_request range = { .method = "GET",
		.path = "/testfile",
		.nheaders = 2,
		.headers = { { "Range", "bytes=0-3" },
		    { "Host", "bucket1-1254000000.cos.ap-beijing.myqcloud.com" } } };
	char out[SIGN_AUTHORIZATION_MAX];

	is_str(authorization(&put, 1557989151, 1557996351),
	    "q-sign-algorithm=sha1&q-ak=AKIDQjz3ltompVjBni5LitkWHFlFpwkn9U5q"
	    "&q-sign-time=1557989151;1557996351&q-key-time=1557989151;1557996351"
	    "&q-header-list=content-length;content-md5;content-type;date;host;x-cos-acl;x-cos-"
	    "grant-read"
	    "&q-url-param-list=&q-signature=3b8851a11a569213c17ba8fa7dcf2abec6935172",
	    "PUT, the whole header");
	is_str(signature(&get, 1557989753, 1557996953), "01681b8c9d798a678e43b685a9f1bba0f6c0e012",
	    "GET with parameters");
	is_str(signature(&range, 1417773892, 1417853898),
	    "4b6cbab14ce01381c29032423481ebffd514e8be", "GET of a range");
	is_int(sign_cos(&range, &key, &(struct sign_period){ 1, 2 }, out, 100), -1,
	    "a buffer that is too small is refused");
}

/* Each signature below is cos-nodejs-sdk-v5's, with KeyTime 1700000000;1700000900. */
static void
test_vendor(void)
{
	static const struct {
		const char *what;
		struct sign_request req;
		const char *signature;
	} cases[] = {
#include "tests/unit/sign_cos_vectors.h"
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		is_str(signature(&cases[i].req, 1700000000, 1700000900), cases[i].signature, "%s",
		    cases[i].what);
}

/* A marked key in the place of the kept one signs until all keys are wiped. */
static void
test_key_is_derived_once(void)
{
	static const unsigned char marked[SIGN_KEPT_BYTES] = "marked";
	struct sign_request req = {
		.method = "GET", .path = "/a", .nheaders = 1, .headers = { { "Host", "a" } }
	};
	char right[64], other[64];

	sign_forget_keys();
	strlcpy(right, signature(&req, 1, 2), sizeof(right));
	ok(sign_kept_find(key.secret_key, "1;2", (unsigned char[SIGN_KEPT_BYTES]){ 0 }),
	    "a derived key is kept");
	sign_forget_keys();
	sign_kept_add(key.secret_key, "1;2", marked);
	strlcpy(other, signature(&req, 1, 2), sizeof(other));
	ok(strcmp(right, other) != 0, "the kept key signs");
	sign_forget_keys();
	is_str(signature(&req, 1, 2), right, "after the wipe the key is derived again");
}

static void
test_tables(void)
{
	struct sign_request req = { .method = "GET",
		.path = "/a",
		.nheaders = 2,
		.headers = { { "Host", "a" }, { "host", "b" } } };
	char out[SIGN_AUTHORIZATION_MAX];

	is_str(signature(&req, 1, 2), "(refused)", "a header that comes twice is refused");
	req.nheaders = SIGN_PAIRS_MAX + 1;
	is_str(signature(&req, 1, 2), "(refused)", "more headers than the table holds are refused");
	req.nheaders = 0;
	is_int(sign_cos(&req, &key, &(struct sign_period){ 1, 2 }, out, sizeof(out)), 0,
	    "no header at all can be signed");
	ok(strstr(out, "q-header-list=&q-url-param-list=&") != NULL,
	    "and the lists are empty then");
}

int
main(void)
{
	test_published();
	test_vendor();
	test_key_is_derived_once();
	test_tables();
	return done_testing();
}
