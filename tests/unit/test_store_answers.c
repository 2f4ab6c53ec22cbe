/*
 * Answers of stores: headers and error classes.
 */
#include "tests/unit/store_fixture.h"
#include "worker/base/memory.h"
#include "worker/store/answer.h"
#include "worker/store/classify.h"
#include "worker/store/complete.h"
#include "worker/store/request.h"
#include "worker/store/xml.h"

static struct object_info info;

static void
take(const struct config_store *store, const char *name, const char *value)
{
	store_take_header(store, &info, name, value);
}

/* All entries of a kind, each with a \x1e behind it. */
static const char *
all(enum info_text which)
{
	static char list[1 << 16];
	const char *entry = NULL;

	list[0] = '\0';
	while ((entry = object_info_next(&info, which, entry)) != NULL) {
		strlcat(list, entry, sizeof(list));
		strlcat(list, "\x1e", sizeof(list));
	}
	return list;
}

static void
test_object(void)
{
	object_info_release(&info);
	ok(info.size == -1 && info.range_first == -1 && info.range_last == -1 &&
		info.content_length == -1 && info.retry_after == -1 && !info.has_crc64 &&
		!info.accepts_ranges && info.etag[0] == '\0',
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
	is_str(object_info_text(&info, INFO_VERSION), "v.1", "version");
	is_str(object_info_text(&info, INFO_CONTENT_TYPE), "video/mp4", "type");
	is_str(object_info_text(&info, INFO_CACHE_CONTROL), "max-age=60", "cache control");
	is_str(object_info_text(&info, INFO_CONTENT_DISPOSITION),
	    "attachment; filename=\"\xc3\xbc.mp4\"", "disposition");
	is_str(object_info_text(&info, INFO_CONTENT_LANGUAGE), "de", "language");
	is_str(object_info_text(&info, INFO_EXPIRES), "Thu, 01 Dec 2026 16:00:00 GMT", "expiry");
	is_int(info.retry_after, 120, "retry after");
	is_str(object_info_text(&info, INFO_LOCATION), "https://elsewhere/", "location");
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
		object_info_release(&info);
		take(&http, "Content-Range", cases[i].value);
		ok(info.size == cases[i].size && info.range_first == cases[i].first &&
			info.range_last == cases[i].last,
		    "Content-Range: %s", cases[i].value);
	}
	for (int order = 0; order < 2; order++) {
		object_info_release(&info);
		take(&http, order == 0 ? "Content-Length" : "Content-Range",
		    order == 0 ? "10" : "bytes 0-9/100");
		take(&http, order == 1 ? "Content-Length" : "Content-Range",
		    order == 1 ? "10" : "bytes 0-9/100");
		ok(info.size == 100 && info.content_length == 10 && info.accepts_ranges,
		    "range and length, order %d", order);
	}
	object_info_release(&info);
	take(&http, "Content-Range", "bytes 0-9/*");
	take(&http, "Content-Length", "10");
	ok(info.size == -1 && info.content_length == 10, "the length of a range is no size");
}

static void
test_hostile(void)
{
	static char big[8192], whole[9000];

	object_info_release(&info);
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
	ok(info.size == -1 && info.content_length == -1 && info.retry_after == -1,
	    "malformed numbers are dropped");
	is_str(info.etag, "", "ETags with forbidden characters");
	is_str(object_info_text(&info, INFO_VERSION), big, "a long version");
	is_str(object_info_text(&info, INFO_CONTENT_TYPE), "", "types of two lines");
	is_str(object_info_text(&info, INFO_CACHE_CONTROL), "", "control characters");
	is_str(object_info_text(&info, INFO_CONTENT_DISPOSITION), big, "a long value");
	is_str(object_info_text(&info, INFO_LOCATION), "", "locations with control characters");
	ok(!info.accepts_ranges && !info.has_crc64, "malformed ranges, a malformed CRC");
	snprintf(whole, sizeof(whole), "big\x1f%s\x1e", big);
	is_str(all(INFO_METADATA), whole, "of metadata what a header can hold");
	is_str(all(INFO_LOST),
	    "Content-Type\x1fits value has a control character\x1e"
	    "Cache-Control\x1fits value has a control character\x1e"
	    "x-amz-meta-\x1fletters, digits, '-', '_' and '.' are what a name may have\x1e"
	    "x-amz-meta-a?\x1fletters, digits, '-', '_' and '.' are what a name may have\x1e"
	    "x-amz-meta-a b\x1fletters, digits, '-', '_' and '.' are what a name may have\x1e"
	    "x-amz-meta-a\x1fits value has a control character\x1e",
	    "and what of the object's headers was lost has a name and a reason");

	take(&ceph, "ETag", "W/\"abc\"");
	is_str(info.etag, "W/abc", "a weak ETag stays weak");
	take(&ceph, "ETag", "plain");
	is_str(info.etag, "plain", "an ETag without quotes is taken");
	take(&ceph, "Retry-After", "Thu, 01 Dec 2026 16:00:30 GMT");
	is_int(info.retry_after, -1, "a date without the answer's own Date");
	take(&ceph, "Date", "Thu, 01 Dec 2026 16:00:00 GMT");
	is_int(info.retry_after, 30, "a date is compared with the answer's own Date");
	take(&ceph, "Retry-After", "Thu, 01 Dec 2026 15:00:00 GMT");
	is_int(info.retry_after, 0, "a date in the past");
	take(&ceph, "Retry-After", "99999999");
	is_int(info.retry_after, 86400, "a day is the longest wait");
}

static void
test_encodings(void)
{
	static const char *const cases[][2] = { { "gzip", "gzip" }, { "aws-chunked", "" },
		{ "aws-chunked,gzip", "gzip" }, { "gzip, AWS-chunked", "gzip" },
		{ "gzip ,br", "gzip, br" }, { ",, ,", "" }, { "aws-chunkedx", "aws-chunkedx" } };
	static char big[300];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		object_info_release(&info);
		take(&ceph, "Content-Encoding", cases[i][0]);
		is_str(object_info_text(&info, INFO_CONTENT_ENCODING), cases[i][1],
		    "Content-Encoding: %s", cases[i][0]);
	}
	for (size_t i = 0; i + 6 < sizeof(big); i += 6)
		memcpy(big + i, "gzip, ", 7);
	big[strlen(big) - 2] = '\0';
	object_info_release(&info);
	take(&ceph, "Content-Encoding", big);
	is_str(object_info_text(&info, INFO_CONTENT_ENCODING), big, "a long list is taken whole");
}

static void
test_twice(void)
{
	object_info_release(&info);
	take(&http, "Cache-Control", "private");
	take(&http, "Cache-Control", "max-age=3");
	take(&http, "Content-Encoding", "gzip");
	take(&http, "Content-Encoding", "br");
	take(&http, "Expires", "0");
	take(&http, "Expires", "0");
	is_str(object_info_text(&info, INFO_CACHE_CONTROL), "private, max-age=3",
	    "two lines are one list");
	is_str(object_info_text(&info, INFO_CONTENT_ENCODING), "gzip, br", "of codings, too");
	is_str(all(INFO_LOST), "", "what is said twice is not lost");
	take(&http, "Content-Type", "a/b");
	take(&http, "CONTENT-TYPE", "c/d");
	is_str(object_info_text(&info, INFO_CONTENT_TYPE), "a/b", "of two types the first");
	is_str(
	    all(INFO_LOST), "content-type\x1fthe source states it twice\x1e", "the other is lost");
}

/* A framing, an encryption or a loss that cannot be read must not look like none. */
static void
test_unreadable(void)
{
	object_info_release(&info);
	take(&ceph, "Content-Length", "5\x01");
	take(&ceph, "Transfer-Encoding", "chunked\x01");
	take(&ceph, "Content-Range", "bytes 0-4/5");
	take(&ceph, "Content-Range", "bytes 0-4/5\x01");
	take(&ceph, "x-amz-missing-meta", "1\x01");
	take(&ceph, "x-amz-server-side-encryption", "AES256\x01");
	is_str(info.bad_length, "Content-Length 5?", "a length with a control character is none");
	is_str(info.coding, "Transfer-Encoding chunked?", "nor is such a coding");
	ok(info.content_length == -1 && !info.chunked, "neither is believed");
	ok(info.range_first == -1, "nor is such a range, after a good one");
	ok(strstr(all(INFO_LOST), "x-amz-missing-meta") != NULL, "metadata is still missing");
	ok(info.encrypted && info.opaque_etag, "the ETag may be no MD5");
}

static void
test_encryption(void)
{
	static const struct {
		const char *name, *value;
		bool opaque;
	} cases[] = {
		{ "x-amz-server-side-encryption", "AES256", false },
		{ "x-amz-server-side-encryption", "aws:kms", true },
		{ "x-amz-server-side-encryption", "aws:kms:dsse", true },
		{ "x-amz-server-side-encryption", "of tomorrow", true },
		{ "x-amz-server-side-encryption-customer-algorithm", "AES256", true },
		{ "x-cos-server-side-encryption", "AES256", true },
		{ "x-cos-server-side-encryption", "cos/kms", true },
		{ "x-cos-server-side-encryption-customer-algorithm", "AES256", true },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		object_info_release(&info);
		ok(!info.encrypted && !info.opaque_etag, "nothing says that it is encrypted");
		take(&ceph, cases[i].name, cases[i].value);
		ok(info.encrypted && info.opaque_etag == cases[i].opaque, "%s: %s: the ETag is %s",
		    cases[i].name, cases[i].value, cases[i].opaque ? "opaque" : "an MD5");
	}
}

static void
test_metadata_in(void)
{
	char name[64], value[64];
	int n = 0;

	object_info_release(&info);
	take(&ceph, "X-Amz-Meta-Camel_Case", "Wert, \xc3\xbc");
	take(&ceph, "x-amz-meta-empty", "");
	take(&ceph, "x-amz-meta-CAMEL_case", "twice");
	take(&ceph, "x-cos-meta-other", "another dialect's");
	is_str(all(INFO_METADATA),
	    "camel_case\x1fWert, \xc3\xbc\x1e"
	    "empty\x1f\x1e",
	    "names in small letters, the first of two");
	is_str(all(INFO_LOST), "x-amz-meta-CAMEL_case\x1fthe source states it twice\x1e",
	    "the second is lost");
	take(&ceph, "x-amz-missing-meta", "0");
	take(&ceph, "x-amz-missing-meta", "2");
	is_str(all(INFO_LOST),
	    "x-amz-meta-CAMEL_case\x1fthe source states it twice\x1e"
	    "x-amz-missing-meta\x1fthe store states metadata that it does not show\x1e",
	    "so is what Amazon does not show");
	object_info_release(&info);
	take(&http, "x-amz-meta-a", "1");
	take(&http, "x-cos-meta-b", "2");
	is_str(all(INFO_METADATA),
	    "a\x1f"
	    "1\x1e"
	    "b\x1f"
	    "2\x1e",
	    "a URL may lead to a store of either dialect");
	object_info_release(&info);
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "x-amz-meta-name-%d", i);
		snprintf(value, sizeof(value), "value of the number %d", i);
		take(&ceph, name, value);
	}
	for (const char *pair = NULL;
	     (pair = object_info_next(&info, INFO_METADATA, pair)) != NULL;)
		n++;
	is_int(n, 1000, "1,000 of them");
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
		{ 404, "NoSuchBucket", OP_INITIATE, CLASS_TRANSIENT },
		{ 404, "NoSuchBucket", OP_UPLOAD_PART, CLASS_TRANSIENT },
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
		{ 412, "PreconditionFailed", OP_COPY, CLASS_SOURCE_CHANGED },
		{ 200, "PreconditionFailed", OP_COPY, CLASS_SOURCE_CHANGED },
		{ 200, "PreconditionFailed", OP_COPY_PART, CLASS_SOURCE_CHANGED },
		{ 412, "PreconditionFailed", OP_PUT, CLASS_PERMANENT },
		{ 412, "PreconditionFailed", OP_COMPLETE, CLASS_PERMANENT },
		{ 416, "InvalidRange", OP_GET, CLASS_SOURCE_CHANGED },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		is_int(store_classify(cases[i].status, cases[i].code, cases[i].op), cases[i].class,
		    "%d %s of operation %d", cases[i].status, cases[i].code, (int)cases[i].op);
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
		is_int(store_check_name(cases[i].store, cases[i].bucket, "k", why, sizeof(why)),
		    cases[i].result, "bucket \"%s\" of %s",
		    cases[i].bucket != NULL ? cases[i].bucket : "(none)", cases[i].store->name);
		ok((why[0] != '\0') == (cases[i].result == -1),
		    "and a sentence if it is refused: %s", why);
	}
	ok(store_is_writable(STORE_S3) && store_is_writable(STORE_COS) &&
		store_is_writable(STORE_FILE) && !store_is_writable(STORE_HTTP),
	    "kinds of stores that can be written");
	is_int(store_limits(STORE_S3)->part_min, 5 << 20, "the smallest part of S3");
	is_int(store_limits(STORE_COS)->part_min, 1 << 20, "the smallest part of COS");
	is_int(store_limits(STORE_S3)->object_max, INT64_C(53687091200000), "the largest object");
}

static void
test_complete_body(void)
{
	static const struct store_etag parts[] = { { .number = 1, .etag = "abc" },
		{ .number = 10000, .etag = "a<&>\"" } };
	static const struct store_etag summed[] = { { 1, "abc", true, 0xe3069283 } };
	struct s3xml x;
	size_t len;
	char *body = store_complete_body(parts, 2, &len);

	is_str(body,
	    "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>\"abc\"</ETag></Part>"
	    "<Part><PartNumber>10000</PartNumber><ETag>\"a&lt;&amp;&gt;\"\"</ETag></Part></"
	    "CompleteMultipartUpload>",
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
	static const char *const none[] = { "4waSgw==-3", "4waSgw", "", "3808858755",
		"4waSgw==4waSgw==" };

	object_info_release(&info);
	ok(!info.has_crc32c, "no checksum at first");
	store_take_header(&ceph, &info, "X-Amz-Checksum-CRC32C", "4waSgw==");
	ok(info.has_crc32c && info.crc32c == 0xe3069283, "a checksum is taken");
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		object_info_release(&info);
		store_take_header(&ceph, &info, "x-amz-checksum-crc32c", none[i]);
		ok(!info.has_crc32c, "\"%s\" is no checksum", none[i]);
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
	test_twice();
	test_unreadable();
	test_encryption();
	test_classes();
	test_names();
	test_complete_body();
	test_checksum();
	return done_testing();
}
