/*
 * Makes up objects of any size: byte i of each is pattern[i % PATTERN].  Bucket small-N lists N
 * objects.
 */
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/void.h"
#include "worker/base/crc64.h"

#define PATTERN (1 << 20)
#define SMALL 4096
#define LIST_MAX 1000

static unsigned char pattern[PATTERN * 2];
static char small_etag[48];

/* With -m the ETags of small objects are their MD5s, for clients that compare these. */
static const char *
source_etag(int64_t size, char *buf, size_t len)
{
	if (size == SMALL && options.md5)
		return small_etag;
	snprintf(buf, len, "made-up-%" PRId64, size);
	return buf;
}

void
source_init(void)
{
	unsigned char md5[16];

	for (size_t i = 0; i < sizeof pattern; i++)
		pattern[i] = (unsigned char)(((i % PATTERN) * UINT64_C(0x9e3779b97f4a7c15)) >> 56);
	EVP_Digest(pattern, SMALL, md5, NULL, EVP_md5(), NULL);
	hex(small_etag, md5);
}

struct body
source_body(int64_t offset, int64_t size)
{
	struct body b = { .size = size };
	int64_t lead = (PATTERN - offset % PATTERN) % PATTERN;
	uint64_t doubled = crc64_update(0, pattern, PATTERN);

	if (lead > size)
		lead = size;
	b.crc = crc64_update(0, pattern + offset % PATTERN, (size_t)lead);
	size -= lead;
	/* whole patterns in binary: doubled is the CRC of unit bytes, which are 2^n patterns */
	for (int64_t n = size / PATTERN, unit = PATTERN; n > 0; n /= 2, unit *= 2) {
		if (n % 2 == 1)
			b.crc = crc64_combine(b.crc, doubled, (uint64_t)unit);
		doubled = crc64_combine(doubled, doubled, (uint64_t)unit);
	}
	b.crc = crc64_update(b.crc, pattern, (size_t)(size % PATTERN));
	body_etag(&b);
	return b;
}

static int
serve_bytes(struct request *r, int64_t first, int64_t last)
{
	int64_t begin = now_ns(), done = 0;

	for (int64_t at = first; at <= last;) {
		int64_t chunk = last - at + 1 < PATTERN ? last - at + 1 : PATTERN;

		if (options.rate > 0 && chunk > 65536)
			chunk = 65536;
		if (send_all(r->fd, pattern + at % PATTERN, (size_t)chunk) == -1)
			return -1;
		at += chunk;
		done += chunk;
		stats.sent += chunk;
		pace(begin, done);
	}
	return 0;
}

static int
serve_object(struct request *r, int64_t size)
{
	int64_t first = r->first < 0 ? 0 : r->first;
	int64_t last = r->first < 0 || r->last < 0 || r->last >= size ? size - 1 : r->last;
	char headers[512], etag[48];
	int n;

	if (first > last && size > 0)
		return answer(r, 416, "", "%s", "");
	n = snprintf(headers, sizeof headers,
	    "ETag: \"%s\"\r\nAccept-Ranges: bytes\r\n"
	    "Last-Modified: Mon, 23 Nov 2026 00:00:00 GMT\r\nContent-Type: "
	    "application/octet-stream\r\n",
	    source_etag(size, etag, sizeof etag));
	if (r->first >= 0)
		n += snprintf(headers + n, sizeof headers - (size_t)n,
		    "Content-Range: bytes %" PRId64 "-%" PRId64 "/%" PRId64 "\r\n", first, last,
		    size);
	if (r->method[0] == 'H' && !options.md5)
		snprintf(headers + n, sizeof headers - (size_t)n,
		    "x-cos-hash-crc64ecma: %" PRIu64 "\r\n", source_body(0, size).crc);
	if (answer_head(r, r->first < 0 ? 200 : 206, last - first + 1, headers) == -1)
		return -1;
	return r->method[0] == 'H' ? 0 : serve_bytes(r, first, last);
}

/* Keys of bucket small-N from number i on, at most so many. */
static void
write_page(FILE *out, bool v2, int64_t i, int64_t keys, int64_t count)
{
	fprintf(out,
	    "<?xml version=\"1.0\" "
	    "encoding=\"UTF-8\"?>\n<ListBucketResult><Name>small</Name><MaxKeys>%" PRId64
	    "</MaxKeys>"
	    "<IsTruncated>%s</IsTruncated>",
	    keys, i + keys < count ? "true" : "false");
	if (i + keys < count)
		fprintf(out,
		    v2 ? "<NextContinuationToken>size-4096-%08" PRId64 "</NextContinuationToken>"
		       : "<NextMarker>size-4096-%08" PRId64 "</NextMarker>",
		    i + keys - 1);
	for (; i < count && keys > 0; i++, keys--)
		fprintf(out,
		    "<Contents><Key>size-4096-%08" PRId64
		    "</Key><LastModified>2026-11-23T00:00:00.000Z</LastModified>"
		    "<ETag>&quot;%s&quot;</ETag><Size>%d</Size><StorageClass>STANDARD</"
		    "StorageClass></Contents>",
		    i, small_etag, SMALL);
	fprintf(out, "</ListBucketResult>");
}

/* A page of bucket small-N.  Names sort as their numbers do, so a marker says where to go on. */
static int
serve_list(struct request *r, int64_t count)
{
	char marker[256] = "", prefix[256] = "", *text = NULL;
	int64_t i = 0, keys = request_number(r, "max-keys", LIST_MAX);
	bool v2 = request_number(r, "list-type", 1) == 2;
	size_t len;
	FILE *out;
	int rc;

	if (request_query(r, v2 ? "continuation-token" : "marker", marker, sizeof marker) == NULL &&
	    v2)
		request_query(r, "start-after", marker, sizeof marker);
	if (strncmp(marker, "size-4096-", 10) == 0)
		i = strtoll(marker + 10, NULL, 10) + 1;
	request_query(r, "prefix", prefix, sizeof prefix);
	if (keys > LIST_MAX)
		keys = LIST_MAX;
	if (strncmp(prefix, "size-4096-", strnlen(prefix, 10)) != 0)
		count = 0;
	if ((out = open_memstream(&text, &len)) == NULL)
		abort();
	write_page(out, v2, i, keys, count);
	fclose(out);
	rc = answer_long(r, text, len);
	free(text);
	return rc;
}

bool
source_get(struct request *r, int *rc)
{
	const char *key = strchr(r->name, '/');

	if (strncmp(r->name, "small-", 6) == 0 && (key == NULL || key[1] == '\0'))
		*rc = serve_list(r, strtoll(r->name + 6, NULL, 10));
	else if (key != NULL && strncmp(key, "/size-", 6) == 0)
		*rc = serve_object(r, strtoll(key + 6, NULL, 10));
	else
		return false;
	return true;
}
