/*
 * What stores answer: headers, error classes; and what an object's headers and metadata become in another store.
 */
#include "tests/unit/store_fixture.h"
#include "worker/memory.h"
#include "worker/s3xml.h"

static struct object_info info;

static void
take(const struct config_store *store, const char *name, const char *value)
{
	store_take_header(store, &info, name, value);
}

static void
test_object(void)
{
	object_info_init(&info);
	ok(info.size == -1 && info.range_first == -1 && info.range_last == -1 && info.content_length == -1 &&
		info.retry_after == -1 && !info.has_crc64 && !info.accepts_ranges && info.etag[0] == '\0',
	    "nothing is known at first");
	take(&ceph, "CONTENT-LENGTH", "1073741824");
	take(&ceph, "etag", "\"d41d8cd98f00b204e9800998ecf8427e-3\"");
	take(&ceph, "Accept-Ranges", "bytes");
	take(&ceph, "x-amz-version-id", "v.1");
	take(&ceph, "Content-Type", "video/mp4");
	take(&ceph, "Cache-Control", "max-age=60");
	take(&ceph, "Content-Disposition", "attachment; filename=\"\xc3\xbc.mp4\"");
	take(&ceph, "Content-Language", "de");
	take(&ceph, "Expires", "Thu, 01 Dec 2026 16:00:00 GMT");
	take(&ceph, "Retry-After", "120");
	take(&ceph, "Location", "https://elsewhere/");
	take(&cos_store, "x-cos-hash-crc64ecma", "4510578591875220731");
	take(&ceph, "Server", "ignored");
	is_int(info.size, 1073741824, "size");
	is_int(info.content_length, 1073741824, "length of the answer");
	is_str(info.etag, "d41d8cd98f00b204e9800998ecf8427e-3", "ETag without quotes");
	ok(info.accepts_ranges, "ranges");
	is_str(info.version, "v.1", "version");
	is_str(info.content_type, "video/mp4", "type");
	is_str(info.cache_control, "max-age=60", "cache control");
	is_str(info.content_disposition, "attachment; filename=\"\xc3\xbc.mp4\"", "disposition");
	is_str(info.content_language, "de", "language");
	is_str(info.expires, "Thu, 01 Dec 2026 16:00:00 GMT", "expiry");
	is_int(info.retry_after, 120, "retry after");
	is_str(info.location, "https://elsewhere/", "location");
	ok(info.has_crc64 && info.crc64 == UINT64_C(4510578591875220731), "CRC64");
}

static void
test_ranges(void)
{
	static const struct {
		const char *value;
		int64_t size, first, last;
	} cases[] = {
		{ "bytes 0-9/100", 100, 0, 9 },
		{ "BYTES 5-5/6", 6, 5, 5 },
		{ "bytes 0-9/*", -1, 0, 9 },
		{ "bytes */100", 100, -1, -1 },
		{ "bytes 0-9223372036854775806/9223372036854775807", INT64_MAX, 0, INT64_MAX - 1 },
		{ "bytes 9-0/100", -1, -1, -1 },
		{ "bytes 0-100/100", -1, -1, -1 },
		{ "bytes 0-9/9223372036854775808", -1, -1, -1 },
		{ "bytes 0-99999999999999999999/*", -1, -1, -1 },
		{ "bytes -1-9/100", -1, -1, -1 },
		{ "bytes 0-9/100x", -1, -1, -1 },
		{ "bytes 0-9", -1, -1, -1 },
		{ "bytes /", -1, -1, -1 },
		{ "bytes ", -1, -1, -1 },
		{ "lines 0-9/100", -1, -1, -1 },
		{ "", -1, -1, -1 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		object_info_init(&info);
		take(&http, "Content-Range", cases[i].value);
		ok(info.size == cases[i].size && info.range_first == cases[i].first && info.range_last == cases[i].last,
		    "Content-Range: %s", cases[i].value);
	}
	for (int order = 0; order < 2; order++) {
		object_info_init(&info);
		take(&http, order == 0 ? "Content-Length" : "Content-Range", order == 0 ? "10" : "bytes 0-9/100");
		take(&http, order == 1 ? "Content-Length" : "Content-Range", order == 1 ? "10" : "bytes 0-9/100");
		ok(info.size == 100 && info.content_length == 10 && info.accepts_ranges, "range and length, order %d", order);
	}
	object_info_init(&info);
	take(&http, "Content-Range", "bytes 0-9/*");
	take(&http, "Content-Length", "10");
	ok(info.size == -1 && info.content_length == 10, "the length of a range is no size");
}

static void
test_hostile(void)
{
	static char big[8192];

	object_info_init(&info);
	memset(big, 'x', sizeof(big) - 1);
	take(&ceph, "Content-Length", "-1");
	take(&ceph, "Content-Length", "9223372036854775808");
	take(&ceph, "Content-Length", "1,1");
	take(&ceph, "Retry-After", "Thu, 01 Dec 2026 16:00:00 GMT");
	take(&ceph, "ETag", "\"a b\"");
	take(&ceph, "ETag", "\"a\"b\"");
	take(&ceph, "ETag", "\"\xc3\xbc\"");
	take(&ceph, "ETag", big);
	take(&ceph, "ETag", "\"\"");
	take(&ceph, "x-amz-version-id", "\xff");
	take(&ceph, "x-amz-version-id", big);
	take(&ceph, "Content-Type", "text/plain\r\nX-Evil: 1");
	take(&ceph, "Cache-Control", "a\x01");
	take(&ceph, "Content-Disposition", big);
	take(&ceph, "Location", "http://a/\x7f");
	take(&ceph, "Accept-Ranges", "none");
	take(&ceph, "x-cos-hash-crc64ecma", "-1");
	take(&ceph, "x-amz-meta-", "no name");
	take(&ceph, "x-amz-meta-a\x1f", "name");
	take(&ceph, "x-amz-meta-a b", "name");
	take(&ceph, "x-amz-meta-a", "value\x1e");
	take(&ceph, "x-amz-meta-big", big);
	ok(info.size == -1 && info.content_length == -1 && info.retry_after == -1, "numbers that are none are dropped");
	is_str(info.etag, "", "ETags with what none has");
	is_str(info.version, "", "versions with what none has");
	is_str(info.content_type, "", "types of two lines");
	is_str(info.cache_control, "", "control characters");
	is_str(info.content_disposition, "", "what is too long to be kept whole");
	is_str(info.location, "", "locations with control characters");
	ok(!info.accepts_ranges && !info.has_crc64, "ranges that are none, a CRC that is none");
	is_str(info.metadata, "", "and metadata that cannot be passed on");

	take(&ceph, "ETag", "W/\"abc\"");
	is_str(info.etag, "W/abc", "a weak ETag stays weak");
	take(&ceph, "ETag", "plain");
	is_str(info.etag, "plain", "one without quotes is taken");
	take(&ceph, "Retry-After", "Thu, 01 Dec 2026 16:00:30 GMT");
	is_int(info.retry_after, -1, "a date that nothing can be held against");
	take(&ceph, "Date", "Thu, 01 Dec 2026 16:00:00 GMT");
	is_int(info.retry_after, 30, "a date is held against the answer's own");
	take(&ceph, "Retry-After", "Thu, 01 Dec 2026 15:00:00 GMT");
	is_int(info.retry_after, 0, "one that has passed");
	take(&ceph, "Retry-After", "99999999");
	is_int(info.retry_after, 86400, "a day is long enough");
}

static void
test_encodings(void)
{
	static const char *const cases[][2] = { { "gzip", "gzip" }, { "aws-chunked", "" }, { "aws-chunked,gzip", "gzip" },
		{ "gzip, AWS-chunked", "gzip" }, { "gzip ,br", "gzip, br" }, { ",, ,", "" }, { "aws-chunkedx", "aws-chunkedx" } };
	static char big[300];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		object_info_init(&info);
		take(&ceph, "Content-Encoding", cases[i][0]);
		is_str(info.content_encoding, cases[i][1], "Content-Encoding: %s", cases[i][0]);
	}
	for (size_t i = 0; i + 5 < sizeof(big); i += 5)
		memcpy(big + i, "gzip,", 6);
	take(&ceph, "Content-Encoding", big);
	is_str(info.content_encoding, "", "a list that does not fit is dropped whole");
}

static void
test_metadata_in(void)
{
	char name[64], value[64];
	size_t len;

	object_info_init(&info);
	take(&ceph, "X-Amz-Meta-Camel_Case", "Wert, \xc3\xbc");
	take(&ceph, "x-amz-meta-empty", "");
	take(&ceph, "x-amz-meta-CAMEL_case", "twice");
	take(&ceph, "x-cos-meta-other", "another dialect's");
	is_str(info.metadata, "camel_case\x1fWert, \xc3\xbc\x1e" "empty\x1f\x1e", "names in small letters, the first of two");
	object_info_init(&info);
	take(&http, "x-amz-meta-a", "1");
	take(&http, "x-cos-meta-b", "2");
	is_str(info.metadata, "a\x1f" "1\x1e" "b\x1f" "2\x1e", "behind a URL may be either store");
	object_info_init(&info);
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "x-amz-meta-name-%d", i);
		snprintf(value, sizeof(value), "value of the number %d", i);
		take(&ceph, name, value);
	}
	len = strlen(info.metadata);
	ok(len < sizeof(info.metadata) && len > sizeof(info.metadata) - 64 && info.metadata[len - 1] == '\x1e',
	    "1,000 of them: as many as fit, whole");
}

/* Builds a PUT that gives the new object info; returns 0 or -1 with why. */
static int
put(const struct config_store *store, const char *metadata, struct store_request *req)
{
	struct store_call call = { .op = OP_PUT, .bucket = "b-1250000000", .key = "k", .info = &info,
		.storage_class = "STANDARD_IA", .now = NOW };

	strlcpy(info.metadata, metadata, sizeof(info.metadata));
	why[0] = '\0';
	return store_build(store, &call, req, why, sizeof(why));
}

static void
test_metadata_out(void)
{
	struct store_request req;

	object_info_init(&info);
	strlcpy(info.content_type, "text/plain; charset=utf-8", sizeof(info.content_type));
	strlcpy(info.content_language, " de ", sizeof(info.content_language));
	strlcpy(info.content_disposition, "attachment; filename=\"two  blanks.txt\"", sizeof(info.content_disposition));
	is_int(put(&ceph, "a_b\x1f  x  y \x1e" "empty\x1f\x1e" "last\x1f\xc3\xbc", &req), 0, "an object for S3");
	is_str(header(&req, "x-amz-meta-a_b"), "x  y", "metadata, trimmed");
	is_str(header(&req, "x-amz-meta-empty"), "", "without value");
	is_str(header(&req, "x-amz-meta-last"), "\xc3\xbc", "in UTF-8");
	is_str(header(&req, "Content-Type"), "text/plain; charset=utf-8", "type");
	is_str(header(&req, "Content-Language"), "de", "language");
	is_str(header(&req, "x-amz-storage-class"), "STANDARD_IA", "storage class");
	is_str(header(&req, "Cache-Control"), "(none)", "and nothing that nobody said");
	ok(verifies(&ceph, &req), "what is signed is what is sent");
	store_request_release(&req);

	is_int(put(&cos_store, "a_b\x1f x \x1e" "a.b\x1fsecond\x1e" "empty\x1f\x1e", &req), 0, "the same for COS");
	is_str(header(&req, "x-cos-meta-a-b"), "x", "its names have dashes only, the first of two stays");
	is_str(header(&req, "x-cos-meta-empty"), "", "without value");
	is_str(header(&req, "x-cos-storage-class"), "STANDARD_IA", "storage class");
	is_str(header(&req, "Content-Language"), "de", "language");
	ok(verifies(&cos_store, &req), "what is signed is what is sent");
	ok(strstr(header(&req, "Authorization"), "content-language") == NULL, "but the vendor's client would not sign that");
	store_request_release(&req);
}

static void
test_metadata_refused(void)
{
	struct store_request req;
	char big[STORE_META_MAX];
	int len;

	object_info_init(&info);
	len = snprintf(big, sizeof(big), "name\x1f%02000d\x1e" "b\x1f%02d\x1e", 0, 0);
	is_int(put(&cos_store, big, &req), 0, "2,029 bytes of metadata go into COS");
	store_request_release(&req);
	snprintf(big + len, sizeof(big) - (size_t)len, "c\x1f%08d\x1e", 0);
	is_int(put(&cos_store, big, &req), -1, "2,049 do not");
	ok(strstr(why, "2048") != NULL, "and it says why");
	is_int(put(&ceph, big, &req), 0, "Ceph takes them");
	ok(verifies(&ceph, &req), "signed");
	store_request_release(&req);
	for (len = 0; len < 4050;)
		len += snprintf(big + len, sizeof(big) - (size_t)len, "name-of-some-fifty-bytes-%021d\x1f\x1e", len);
	is_int(put(&ceph, big, &req), 0, "4 KiB of nothing but names can be signed");
	ok(verifies(&ceph, &req), "and are");
	store_request_release(&req);
	for (len = 0; len < 4080;)
		len += snprintf(big + len, sizeof(big) - (size_t)len, "n%d\x1fv\x1e", len);
	is_int(put(&ceph, big, &req), -1, "hundreds of pairs are refused");
	ok(strstr(why, "headers and metadata") != NULL, "and it says why");
	is_int(put(&ceph, "a\x1fx\r\ny\x1e", &req), -1, "a value of two lines is refused");
	is_int(put(&ceph, "a\n\x1fx\x1e", &req), -1, "a name of two lines");
	is_int(put(&ceph, "a:\x1fx\x1e", &req), -1, "a name with a colon");
	is_int(put(&ceph, "\x1fx\x1e", &req), -1, "no name");
	is_int(put(&ceph, "alone", &req), -1, "half a pair");
	is_int(put(&ceph, "a\x1e\x1fx", &req), -1, "the halves apart");
	strlcpy(info.content_type, "a\nb", sizeof(info.content_type));
	is_int(put(&ceph, "", &req), -1, "a type of two lines");
	ok(strstr(why, "Content-Type") != NULL, "which is named");
}

static void
test_classes(void)
{
	static const struct {
		int status;
		const char *code;
		enum store_op op;
		enum error_class class;
	} cases[] = {
		{ 503, "SlowDown", OP_PUT, CLASS_THROTTLED },
		{ 200, "SlowDown", OP_COMPLETE, CLASS_THROTTLED },
		{ 503, "", OP_HEAD, CLASS_TRANSIENT },
		{ 503, "ServiceUnavailable", OP_PUT, CLASS_TRANSIENT },
		{ 429, "", OP_GET, CLASS_THROTTLED },
		{ 500, "InternalError", OP_PUT, CLASS_TRANSIENT },
		{ 200, "InternalError", OP_COMPLETE, CLASS_TRANSIENT },
		{ 200, "", OP_COMPLETE, CLASS_TRANSIENT },
		{ 500, "", OP_GET, CLASS_TRANSIENT },
		{ 502, "", OP_GET, CLASS_TRANSIENT },
		{ 504, "", OP_GET, CLASS_TRANSIENT },
		{ 408, "", OP_PUT, CLASS_TRANSIENT },
		{ 501, "NotImplemented", OP_PUT, CLASS_PERMANENT },
		{ 501, "", OP_PUT, CLASS_PERMANENT },
		{ 0, "", OP_GET, CLASS_TRANSIENT },
		{ 400, "RequestTimeout", OP_PUT, CLASS_TRANSIENT },
		{ 400, "UserNetworkTooSlow", OP_PUT, CLASS_TRANSIENT },
		{ 400, "IncompleteBody", OP_UPLOAD_PART, CLASS_TRANSIENT },
		{ 400, "BadDigest", OP_UPLOAD_PART, CLASS_TRANSIENT },
		{ 409, "PathConflict", OP_PUT, CLASS_TRANSIENT },
		{ 409, "", OP_PUT, CLASS_TRANSIENT },
		{ 409, "FileAlreadyExists", OP_COMPLETE, CLASS_PERMANENT },
		{ 403, "RequestTimeTooSkewed", OP_PUT, CLASS_TRANSIENT },
		{ 403, "AccessDenied", OP_GET, CLASS_CREDENTIALS },
		{ 403, "SignatureDoesNotMatch", OP_GET, CLASS_CREDENTIALS },
		{ 403, "InvalidAccessKeyId", OP_PUT, CLASS_CREDENTIALS },
		{ 400, "ExpiredToken", OP_PUT, CLASS_CREDENTIALS },
		{ 400, "AuthorizationHeaderMalformed", OP_PUT, CLASS_CREDENTIALS },
		{ 403, "", OP_HEAD, CLASS_CREDENTIALS },
		{ 401, "", OP_GET, CLASS_CREDENTIALS },
		{ 403, "PathStyleDomainForbidden", OP_HEAD, CLASS_PERMANENT },
		{ 403, "InvalidObjectState", OP_GET, CLASS_PERMANENT },
		{ 404, "NoSuchKey", OP_GET, CLASS_PERMANENT },
		{ 404, "NoSuchBucket", OP_INITIATE, CLASS_PERMANENT },
		{ 404, "NoSuchBucket", OP_UPLOAD_PART, CLASS_PERMANENT },
		{ 404, "", OP_HEAD, CLASS_PERMANENT },
		{ 404, "NoSuchUpload", OP_UPLOAD_PART, CLASS_TRANSIENT },
		{ 404, "NoSuchKey", OP_LIST_PARTS, CLASS_TRANSIENT },
		{ 400, "KeyTooLongError", OP_PUT, CLASS_PERMANENT },
		{ 400, "KeyTooLong", OP_PUT, CLASS_PERMANENT },
		{ 400, "InvalidBucketName", OP_PUT, CLASS_PERMANENT },
		{ 400, "EntityTooLarge", OP_PUT, CLASS_PERMANENT },
		{ 400, "InvalidPart", OP_COMPLETE, CLASS_TRANSIENT },
		{ 400, "InvalidPartOrder", OP_COMPLETE, CLASS_PERMANENT },
		{ 400, "SomethingNew", OP_PUT, CLASS_PERMANENT },
		{ 400, "", OP_PUT, CLASS_PERMANENT },
		{ 301, "PermanentRedirect", OP_GET, CLASS_PERMANENT },
		{ 302, "", OP_GET, CLASS_PERMANENT },
		{ 307, "", OP_PUT, CLASS_PERMANENT },
		{ 412, "PreconditionFailed", OP_GET, CLASS_SOURCE_CHANGED },
		{ 412, "", OP_HEAD, CLASS_SOURCE_CHANGED },
		{ 412, "PreconditionFailed", OP_PUT, CLASS_PERMANENT },
		{ 412, "PreconditionFailed", OP_COMPLETE, CLASS_PERMANENT },
		{ 416, "InvalidRange", OP_GET, CLASS_SOURCE_CHANGED },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		is_int(store_classify(cases[i].status, cases[i].code, cases[i].op), cases[i].class, "%d %s of operation %d",
		    cases[i].status, cases[i].code, (int)cases[i].op);
}

static void
test_names(void)
{
	static const struct {
		const struct config_store *store;
		const char *bucket;
		int result;
	} cases[] = {
		{ &ceph, "abc", 0 },
		{ &ceph, "Old_Bucket.1", 0 },
		{ &ceph, "ab", -1 },
		{ &ceph, "", -1 },
		{ &ceph, NULL, -1 },
		{ &ceph, "a/b", -1 },
		{ &ceph, "..a", -1 },
		{ &ceph, "a b c", -1 },
		{ &ceph, "abc?x", -1 },
		{ &aws, "my.bucket-1", 0 },
		{ &aws, "My-Bucket", -1 },
		{ &aws, "my_bucket", -1 },
		{ &aws, "a..b", -1 },
		{ &aws, "bucket-", -1 },
		{ &aws, "bucket.", -1 },
		{ &aws, "a@evil.example", -1 },
		{ &aws, "a1234567890123456789012345678901234567890123456789012345678901234", -1 },
		{ &cos_store, "examplebucket-1250000000", 0 },
		{ &cos_store, "examplebucket", -1 },
		{ &cos_store, "examplebucket-", -1 },
		{ &cos_store, "examplebucket-12a", -1 },
		{ &cos_store, "Example-1250000000", -1 },
		{ &cos_store, "a.b-1250000000", -1 },
		{ &cos_store, "", -1 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		why[0] = '\0';
		is_int(store_check_name(cases[i].store, cases[i].bucket, "k", why, sizeof(why)), cases[i].result,
		    "bucket \"%s\" of %s", cases[i].bucket != NULL ? cases[i].bucket : "(none)", cases[i].store->name);
		ok((why[0] != '\0') == (cases[i].result == -1), "and a sentence if it is refused: %s", why);
	}
	ok(store_is_writable(STORE_S3) && store_is_writable(STORE_COS) && store_is_writable(STORE_FILE) &&
		!store_is_writable(STORE_HTTP), "what can be written");
	is_int(store_limits(STORE_S3)->part_min, 5 << 20, "the smallest part of S3");
	is_int(store_limits(STORE_COS)->part_min, 1 << 20, "the smallest part of COS");
	is_int(store_limits(STORE_S3)->object_max, INT64_C(53687091200000), "the largest object");
}

static void
test_complete_body(void)
{
	static const struct store_etag parts[] = { { .number = 1, .etag = "abc" }, { .number = 10000, .etag = "a<&>\"" } };
	static const struct store_etag summed[] = { { 1, "abc", true, 0xe3069283 } };
	struct s3xml x;
	size_t len;
	char *body = store_complete_body(parts, 2, &len);

	is_str(body,
	    "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>\"abc\"</ETag></Part>"
	    "<Part><PartNumber>10000</PartNumber><ETag>\"a&lt;&amp;&gt;\"\"</ETag></Part></CompleteMultipartUpload>",
	    "the body of Complete");
	is_int(len, strlen(body), "its length");
	is_int(s3xml_init(&x, false), 0, "a parser");
	is_int(s3xml_feed(&x, body, len), 0, "takes it");
	is_int(s3xml_finish(&x, why, sizeof(why)), 0, "as well-formed");
	s3xml_release(&x);
	memory_free(body);
	body = store_complete_body(summed, 1, &len);
	is_str(body,
	    "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>\"abc\"</ETag>"
	    "<ChecksumCRC32C>4waSgw==</ChecksumCRC32C></Part></CompleteMultipartUpload>",
	    "the body with checksums");
	memory_free(body);
}

static void
test_checksum(void)
{
	static const char *const none[] = { "4waSgw==-3", "4waSgw", "", "3808858755", "4waSgw==4waSgw==" };

	object_info_init(&info);
	ok(!info.has_crc32c, "no checksum to begin with");
	store_take_header(&ceph, &info, "X-Amz-Checksum-CRC32C", "4waSgw==");
	ok(info.has_crc32c && info.crc32c == 0xe3069283, "one that is said");
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		object_info_init(&info);
		store_take_header(&ceph, &info, "x-amz-checksum-crc32c", none[i]);
		ok(!info.has_crc32c, "\"%s\" is none", none[i]);
	}
}

int
main(void)
{
	test_object();
	test_ranges();
	test_hostile();
	test_encodings();
	test_metadata_in();
	test_metadata_out();
	test_metadata_refused();
	test_classes();
	test_names();
	test_complete_body();
	test_checksum();
	return done_testing();
}
