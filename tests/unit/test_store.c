/*
 * Requests to stores: addresses, parameters, headers; they are sent as they were signed.
 */
#include "tests/unit/store_fixture.h"

/* Builds a request, and reports a failure. */
static bool
builds(const struct config_store *store, const struct store_call *call, struct store_request *req,
    const char *what)
{
	why[0] = '\0';
	if (ok(store_build(store, call, req, why, sizeof(why)) == 0, "%s: built", what))
		return true;
	printf("# %s\n", why);
	return false;
}

static void
refuses(const struct config_store *store, const struct store_call *call, const char *sentence,
    const char *what)
{
	struct store_request req;

	why[0] = '\0';
	is_int(store_build(store, call, &req, why, sizeof(why)), -1, "%s is refused", what);
	ok(strstr(why, sentence) != NULL && req.url == NULL && req.headers == NULL, "%s: \"%s\"",
	    what, sentence);
	if (strstr(why, sentence) == NULL)
		printf("# %s\n", why);
	store_request_release(&req);
}

static void
test_addresses(void)
{
	static const struct {
		const struct config_store *store;
		const char *bucket, *key, *url;
	} cases[] = {
		{ &ceph, "uploads", "a/b.mp4", "http://rgw.internal:7480/uploads/a/b.mp4" },
		{ &aws, "uploads", "a/b.mp4",
		    "https://uploads.s3.eu-central-1.amazonaws.com/a/b.mp4" },
		{ &cos_store, "media-1250000000", "a/b",
		    "https://media-1250000000.cos.ap-guangzhou.myqcloud.com/a/b" },
		{ &open_store, "Old_Bucket", "k", "https://open.example/Old_Bucket/k" },
		{ &http, NULL, "https://u:p@h.example:1/a%20b?sig=x%2F#f",
		    "https://u:p@h.example:1/a%20b?sig=x%2F#f" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct store_call call = {
			.op = OP_HEAD, .bucket = cases[i].bucket, .key = cases[i].key, .now = NOW
		};
		struct store_request req;

		if (builds(cases[i].store, &call, &req, cases[i].url))
			is_str(req.url, cases[i].url, "%s: its URL", cases[i].url);
		is_str(req.method, "HEAD", "its method");
		store_request_release(&req);
	}
}

static char long_key[1025];

static const char *const odd_keys[] = { "a b", "\xc3\xbc/\xe6\x97\xa5\xe6\x9c\xac", "+", "&", "=",
	"%", "%2F%41", "~", "?", "?a=b", "#", "a/../b", "..", ".", "a//b", "/a", "a/", "//",
	"!'()*", ":", ";", "@", ",", "$", "a:b@c;d,e$f", "\\\"<>[]^`{|}", "+ & = % ~ ? #",
	long_key };

/*
 * libcurl must find the key in the URL, decoded: nothing is lost, no dots are resolved, and nothing
 * counts as a query.
 */
static void
test_odd_keys(const struct config_store *store, const char *bucket, const char *prefix)
{
	for (size_t i = 0; i < sizeof(odd_keys) / sizeof(odd_keys[0]); i++) {
		struct store_call call = { .op = OP_UPLOAD_PART,
			.bucket = bucket,
			.key = odd_keys[i],
			.upload_id = "2~a/b+c=&",
			.part_number = 10000,
			.content_length = 1,
			.now = NOW };
		struct store_request req;
		char *path, *decoded, *query;

		long_key[store_limits(store->kind)->key_max] = '\0';
		if (!builds(store, &call, &req, odd_keys[i]))
			continue;
		path = url_part(req.url, CURLUPART_PATH, 0);
		query = url_part(req.url, CURLUPART_QUERY, 0);
		decoded = curl_unescape(path, 0);
		ok(strncmp(decoded, prefix, strlen(prefix)) == 0 &&
			strcmp(decoded + strlen(prefix), odd_keys[i]) == 0,
		    "%s: the key arrives", odd_keys[i]);
		is_str(query, "partNumber=10000&uploadId=2~a%2Fb%2Bc%3D%26", "and the parameters");
		ok(verifies(store, &req), "%s: sent as it was signed", odd_keys[i]);
		curl_free(path);
		curl_free(query);
		curl_free(decoded);
		store_request_release(&req);
	}
}

/* The source of a copy is encoded and pinned; CopyObject names no range. */
static void
test_copies(void)
{
	struct store_call call = { .op = OP_COPY_PART,
		.bucket = "b-1250000000",
		.key = "k",
		.upload_id = "U",
		.part_number = 1,
		.range_first = 5,
		.range_last = 9,
		.if_match = "e",
		.copy_bucket = "from-1250000000",
		.copy_key = "a b/\xc3\xbc?+",
		.now = NOW };
	struct object_info info;
	struct store_request req;

	object_info_init(&info);
	if (builds(&ceph, &call, &req, "UploadPartCopy")) {
		is_str(header(&req, "x-amz-copy-source"), "/from-1250000000/a%20b/%C3%BC%3F%2B",
		    "S3: the source by path");
		is_str(header(&req, "x-amz-copy-source-range"), "bytes=5-9", "a range of it");
		is_str(header(&req, "x-amz-copy-source-if-match"), "\"e\"", "pinned by its ETag");
		store_request_release(&req);
	}
	if (builds(&cos_store, &call, &req, "Upload Part - Copy")) {
		is_str(header(&req, "x-cos-copy-source"),
		    "from-1250000000.cos.ap-guangzhou.myqcloud.com/a%20b/%C3%BC%3F%2B",
		    "COS: the source by host");
		is_str(header(&req, "x-cos-copy-source-range"), "bytes=5-9", "a range of it");
		store_request_release(&req);
	}
	call.op = OP_COPY;
	if (builds(&ceph, &call, &req, "CopyObject")) {
		is_str(header(&req, "x-amz-copy-source-range"), "(none)", "whole");
		is_str(header(&req, "x-amz-metadata-directive"), "(none)",
		    "with the headers of the source");
		store_request_release(&req);
	}
	call.info = &info;
	if (builds(&ceph, &call, &req, "CopyObject with headers")) {
		is_str(
		    header(&req, "x-amz-metadata-directive"), "REPLACE", "with headers of its own");
		store_request_release(&req);
	}
}

static void
test_operations(void)
{
	static const struct {
		enum store_op op;
		const char *method, *query;
	} cases[] = {
		{ OP_HEAD, "HEAD", "" },
		{ OP_GET, "GET", "" },
		{ OP_PUT, "PUT", "" },
		{ OP_INITIATE, "POST", "?uploads" },
		{ OP_UPLOAD_PART, "PUT", "?partNumber=7&uploadId=U" },
		{ OP_COMPLETE, "POST", "?uploadId=U" },
		{ OP_ABORT, "DELETE", "?uploadId=U" },
		{ OP_LIST_PARTS, "GET", "?max-parts=1000&part-number-marker=1000&uploadId=U" },
		{ OP_LIST_UPLOADS, "GET", "?max-uploads=100&prefix=k&uploads" },
		{ OP_DELETE, "DELETE", "" },
		{ OP_COPY, "PUT", "" },
		{ OP_COPY_PART, "PUT", "?partNumber=7&uploadId=U" },
	};
	const struct config_store *const stores[] = { &ceph, &aws, &cos_store };

	for (size_t s = 0; s < 3; s++)
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			struct store_call call = { .op = cases[i].op,
				.bucket = "b-1250000000",
				.key = "k",
				.upload_id = "U",
				.part_number = 7,
				.part_marker = 1000,
				.range_last = -1,
				.now = NOW,
				.if_match = "e",
				.copy_bucket = "b-1250000000",
				.copy_key = "from" };
			struct store_request req;
			const char *query;

			if (!builds(stores[s], &call, &req, stores[s]->name))
				continue;
			query = strchr(req.url, '?');
			is_str(req.method, cases[i].method, "method");
			is_str(query != NULL ? query : "", cases[i].query, "parameters of %s",
			    cases[i].method);
			ok(verifies(stores[s], &req), "%s: sent as it was signed", stores[s]->name);
			is_str(header(&req, "Expect"), "(suppressed)", "no Expect");
			is_str(header(&req, "Transfer-Encoding"), "(suppressed)", "no chunks");
			is_str(header(&req, "Content-Type"),
			    call.op == OP_COMPLETE ? "application/xml" : "(suppressed)",
			    "no type of libcurl's own");
			is_str(header(&req, "Host"), "(none)", "Host is libcurl's");
			is_str(header(&req, "Accept-Encoding"), "(none)", "bodies as they are");
			is_str(header(&req, "Range"), "(none)", "no range");
			store_request_release(&req);
		}
}

static void
test_conditions(void)
{
	struct store_call get = { .op = OP_GET,
		.bucket = "b-1",
		.key = "k",
		.range_first = 0,
		.range_last = INT64_C(5497558138880),
		.if_match = "abc-7",
		.now = NOW };
	struct store_call put = { .op = OP_PUT,
		.bucket = "b-1",
		.key = "k",
		.if_none_match_any = true,
		.content_md5 = "mQ/fVh815F3k6TAUm8m0eg==",
		.now = NOW };
	struct store_request req;

	builds(&ceph, &get, &req, "a range");
	is_str(header(&req, "Range"), "bytes=0-5497558138880", "its bytes");
	is_str(header(&req, "If-Match"), "\"abc-7\"", "its pin, quoted");
	ok(strstr(header(&req, "Authorization"),
	       "SignedHeaders=host;if-match;range;x-amz-content-sha256;x-amz-date,") != NULL,
	    "all of it signed");
	store_request_release(&req);
	get.if_match = "W/abc";
	get.key = "http://h/k";
	builds(&http, &get, &req, "a weak pin");
	is_str(header(&req, "If-Match"), "(none)", "is not sent, since it never matches");
	is_str(header(&req, "Range"), "bytes=0-5497558138880", "the range is");
	is_str(header(&req, "Authorization"), "(none)", "and nothing is signed");
	store_request_release(&req);
	builds(&ceph, &put, &req, "PUT where nothing is");
	is_str(header(&req, "If-None-Match"), "*", "S3's way");
	is_str(header(&req, "Content-MD5"), "mQ/fVh815F3k6TAUm8m0eg==", "the digest");
	store_request_release(&req);
	builds(&cos_store, &put, &req, "PUT where nothing is");
	is_str(header(&req, "x-cos-forbid-overwrite"), "true", "COS's way");
	is_str(header(&req, "If-None-Match"), "(none)", "and no other");
	ok(is_listed(strstr(header(&req, "Authorization"), "q-header-list=") + 14, "content-md5"),
	    "the digest is signed");
	store_request_release(&req);
	get.op = OP_DELETE;
	get.if_match = "abc-7";
	get.key = "k";
	builds(&ceph, &get, &req, "a removal");
	is_str(header(&req, "If-Match"), "\"abc-7\"", "of this object alone");
	store_request_release(&req);
	builds(&cos_store, &get, &req, "a removal");
	is_str(header(&req, "If-Match"), "(none)", "COS knows no such condition");
	store_request_release(&req);
	put.op = OP_UPLOAD_PART;
	put.upload_id = "U";
	builds(&ceph, &put, &req, "a part");
	is_str(header(&req, "If-None-Match"), "(none)", "has no such condition");
	store_request_release(&req);
}

static void
test_signing(void)
{
	struct store_call call = {
		.op = OP_HEAD, .bucket = "b-1250000000", .key = "k", .now = NOW
	};
	struct store_request req;

	builds(&aws, &call, &req, "with a session");
	is_str(header(&req, "x-amz-security-token"), "tok/en+=", "its token goes along");
	is_str(header(&req, "x-amz-content-sha256"), "UNSIGNED-PAYLOAD", "the payload is unsigned");
	is_str(header(&req, "x-amz-date"), "20231114T221320Z", "the date");
	ok(strstr(header(&req, "Authorization"),
	       "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token,") != NULL,
	    "all signed");
	store_request_release(&req);
	builds(&cos_store, &call, &req, "with a session of COS");
	is_str(header(&req, "x-cos-security-token"), "tok/en+=", "its token goes along");
	ok(strstr(header(&req, "Authorization"), "q-sign-time=1699999940;1700000900&") != NULL,
	    "valid for long enough");
	ok(strstr(header(&req, "Authorization"), "q-header-list=host;x-cos-security-token&") !=
		NULL,
	    "all signed");
	store_request_release(&req);
	builds(&open_store, &call, &req, "without a key");
	is_str(header(&req, "Authorization"), "(none)", "nothing is signed");
	is_str(header(&req, "x-amz-date"), "(none)", "nor dated");
	store_request_release(&req);
}

/* The headers that CRC32C adds to each operation of S3. */
static void
test_checksums(void)
{
	struct object_info info;
	struct store_call call = {
		.op = OP_INITIATE, .bucket = "b-1", .key = "k", .crc32c = true, .now = NOW
	};
	struct store_request req;

	object_info_init(&info);
	object_info_set(&info, INFO_CONTENT_ENCODING, "gzip");
	call.info = &info;
	builds(&aws, &call, &req, "an upload with checksums");
	is_str(header(&req, "x-amz-checksum-algorithm"), "CRC32C", "name the algorithm");
	is_str(header(&req, "x-amz-checksum-type"), "FULL_OBJECT",
	    "and a checksum of the whole object");
	is_str(header(&req, "Content-Encoding"), "gzip", "the object's coding");
	is_str(header(&req, "x-amz-content-sha256"), "UNSIGNED-PAYLOAD", "no framing yet");
	store_request_release(&req);
	call.op = OP_PUT;
	call.content_length = 61;
	call.decoded_length = 9;
	builds(&aws, &call, &req, "an object with a trailer");
	is_str(header(&req, "Content-Encoding"), "aws-chunked,gzip",
	    "the framing, then the object's coding");
	is_str(header(&req, "x-amz-content-sha256"), "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
	    "how the payload is signed");
	is_str(header(&req, "x-amz-decoded-content-length"), "9", "the length of the data");
	is_str(header(&req, "x-amz-trailer"), "x-amz-checksum-crc32c", "the name of the trailer");
	is_str(header(&req, "x-amz-checksum-crc32c"), "(none)", "its value is not known yet");
	ok(strstr(header(&req, "Authorization"),
	       "SignedHeaders=content-encoding;host;x-amz-content-sha256;x-amz-date;"
	       "x-amz-decoded-content-length;x-amz-sdk-checksum-algorithm;x-amz-security-token;x-"
	       "amz-trailer,") != NULL,
	    "all of it signed");
	store_request_release(&req);
	call.op = OP_UPLOAD_PART;
	call.upload_id = "U";
	call.part_number = 1;
	builds(&ceph, &call, &req, "a part with a trailer");
	is_str(header(&req, "Content-Encoding"), "aws-chunked", "a part has no other coding");
	store_request_release(&req);
	call.op = OP_COMPLETE;
	call.whole_crc32c = 0xe3069283;
	builds(&ceph, &call, &req, "Complete");
	is_str(header(&req, "x-amz-checksum-crc32c"),
	    "4waSgw==", "states the whole object's checksum");
	is_str(header(&req, "x-amz-checksum-type"), "FULL_OBJECT", "of its bytes");
	store_request_release(&req);
	call.op = OP_HEAD;
	builds(&ceph, &call, &req, "HEAD");
	is_str(header(&req, "x-amz-checksum-mode"), "ENABLED", "asks for it");
	store_request_release(&req);
	call.crc32c = false;
	builds(&ceph, &call, &req, "HEAD without");
	is_str(header(&req, "x-amz-checksum-mode"), "(none)", "does not");
	store_request_release(&req);
	object_info_release(&info);
}

static void
test_refusals(void)
{
	struct store_call call = { .op = OP_PUT, .bucket = "bucket-1", .key = "k", .now = NOW };
	struct config_store broken = ceph;
	char key[1100];

	call.key = "";
	refuses(&ceph, &call, "empty", "no key");
	memset(key, 'k', 1025);
	key[1025] = '\0';
	call.key = key;
	refuses(&ceph, &call, "1025 bytes", "a key of 1,025 bytes");
	key[851] = '\0';
	refuses(&cos_store, &call, "takes 850", "a key of 851 bytes in COS");
	call.key = "a\nb";
	refuses(&ceph, &call, "control character", "a key of two lines");
	call.key = "k";
	call.bucket = NULL;
	refuses(&ceph, &call, "bucket", "no bucket");
	call.bucket = "bucket-1";
	refuses(&http, &call, "PUT", "an upload to a plain URL");
	call.op = OP_UPLOAD_PART;
	refuses(&ceph, &call, "without its id", "a part of no upload");
	call.op = OP_GET;
	call.range_last = -1;
	call.if_match = "a\r\nX-Evil: 1";
	refuses(&ceph, &call, "control character", "an ETag of two lines");
	call.if_match = NULL;
	strlcpy(broken.endpoint, "ftp://host", sizeof(broken.endpoint));
	refuses(&broken, &call, "http://", "an endpoint of another scheme");
	broken = ceph;
	strlcpy(broken.session_token, "a\nb", sizeof(broken.session_token));
	refuses(&broken, &call, "control character", "a token of two lines");
	call.key = "http://host/a b";
	refuses(&http, &call, "blank", "a URL with a blank");
}

int
main(void)
{
	memset(long_key, 'k', sizeof(long_key) - 1);
	test_addresses();
	test_odd_keys(&ceph, "uploads", "/uploads/");
	test_odd_keys(&aws, "uploads", "/");
	memset(long_key, 'k', sizeof(long_key) - 1);
	test_odd_keys(&cos_store, "b-1250000000", "/");
	test_operations();
	test_copies();
	test_conditions();
	test_signing();
	test_checksums();
	test_refusals();
	return done_testing();
}
