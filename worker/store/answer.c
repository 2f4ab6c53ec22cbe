/*
 * A server may send anything.  Values that cannot be passed on safely are dropped here, so that no
 * later step has to check them.
 */
#include "worker/store/answer.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#include "common/base/memory.h"
#include "common/base/text.h"
#include "worker/base/crc32c.h"
#include "worker/base/crc64.h"
#include "worker/store/private.h"

#define RETRY_AFTER_MAX 86400 /* seconds */

/* Reads digits into *value; *end points to what follows them. */
static int
parse_digits(const char *s, int64_t *value, const char **end)
{
	const char *p = s;
	int64_t n = 0;

	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(n, INT64_C(10), &n) ||
		    __builtin_add_overflow(n, (int64_t)(*p - '0'), &n))
			return -1;
	if (p == s)
		return -1;
	*value = n;
	*end = p;
	return 0;
}

/* Keeps a framing that cannot be read, for a message. */
static void
note_framing(char *buf, size_t size, const char *name, const char *value)
{
	snprintf(buf, size, "%s %s", name, value);
	text_mask_controls(buf);
}

/*
 * Of a whole object the length is the size, too; of a range Content-Range states the size.  A
 * length that cannot be read is no missing length, and of two that differ neither can be believed.
 */
static void
take_content_length(struct object_info *info, const char *value)
{
	const char *end;
	int64_t n;

	if (parse_digits(value, &n, &end) == -1 || *end != '\0' ||
	    (info->content_length != -1 && info->content_length != n)) {
		note_framing(info->bad_length, sizeof(info->bad_length), "Content-Length", value);
		return;
	}
	info->content_length = n;
	if (info->size == -1 && info->range_first == -1)
		info->size = n;
}

/*
 * "bytes 0-9/100"; a star may stand for the range (with 416) or for the total.  If the value
 * contradicts itself, range_first stays -1, and the reader of a 206 knows that it got no range.
 */
static void
take_content_range(struct object_info *info, const char *value)
{
	int64_t first = -1, last = -1, total = -1;
	const char *p;

	info->size = info->range_first = info->range_last = -1;
	if (strncasecmp(value, "bytes ", 6) != 0)
		return;
	p = value + 6 + strspn(value + 6, " ");
	if (*p == '*')
		p++;
	else if (parse_digits(p, &first, &p) == -1 || *p++ != '-' ||
		 parse_digits(p, &last, &p) == -1 || first > last)
		return;
	if (*p++ != '/')
		return;
	if (strcmp(p, "*") != 0 &&
	    (parse_digits(p, &total, &p) == -1 || *p != '\0' || last >= total))
		return;
	info->size = info->range_total = total;
	info->range_first = first;
	info->range_last = last;
	info->accepts_ranges = info->accepts_ranges || first >= 0;
}

/* A second chunked means two framings, one within the other. */
static void
take_transfer_encoding(struct object_info *info, const char *value)
{
	if (strcasecmp(value, "chunked") == 0 && !info->chunked)
		info->chunked = true;
	else
		note_framing(info->coding, sizeof(info->coding), "Transfer-Encoding", value);
}

static void
take_last_modified(struct object_info *info, const char *value)
{
	if (strlen(value) >= sizeof(info->modified) || !text_is_plain(value))
		return;
	info->modified_at = curl_getdate(value, NULL);
	strlcpy(info->modified, info->modified_at != -1 ? value : "", sizeof(info->modified));
}

/*
 * Removes the quotes, and keeps W/.  Only printable ASCII is taken, because ETags go into headers,
 * documents and a column of the table.
 */
static void
take_etag(struct object_info *info, const char *value)
{
	bool weak = strncmp(value, "W/", 2) == 0;
	const char *p = value + (weak ? 2 : 0);
	size_t len = strlen(p), i;

	if (len >= 2 && p[0] == '"' && p[len - 1] == '"') {
		p++;
		len -= 2;
	}
	for (i = 0; i < len; i++)
		if (p[i] <= ' ' || p[i] > '~' || p[i] == '"')
			return;
	if (len > 0 && len + 3 <= sizeof(info->etag))
		snprintf(info->etag, sizeof(info->etag), "%s%.*s", weak ? "W/" : "", (int)len, p);
}

#define BAD_VALUE "its value has a control character"

/*
 * A header that goes along to the new object, and cannot.  Its name may come from a hostile server,
 * and ends up in messages.
 */
static void
lose(struct object_info *info, const char *name, const char *why)
{
	char shown[128];

	strlcpy(shown, name, sizeof(shown));
	text_make_plain(shown);
	object_info_add_pair(info, INFO_LOST, shown, why);
}

static void
take_version(struct object_info *info, const char *value)
{
	const char *p;

	for (p = value; *p != '\0'; p++)
		if (*p <= ' ' || *p > '~')
			return;
	object_info_set(info, INFO_VERSION, value);
}

/*
 * Leaves out aws-chunked: it is the framing of an upload, not a property of the object.  Some
 * versions of Ceph keep it by mistake.
 */
static void
take_content_encoding(struct object_info *info, const char *value)
{
	size_t size = 2 * strlen(value) + 3, len = 0;
	char *list = memory_alloc(size);

	while (*value != '\0') {
		size_t token;

		value += strspn(value, ", ");
		token = strcspn(value, ", ");
		if (token > 0 && (token != 11 || strncasecmp(value, "aws-chunked", token) != 0))
			len += (size_t)snprintf(list + len, size - len, "%s%.*s",
			    len > 0 ? ", " : "", (int)token, value);
		value += token;
	}
	object_info_remove(info, INFO_CONTENT_ENCODING);
	if (len > 0)
		object_info_add(info, INFO_CONTENT_ENCODING, list);
	memory_free(list);
}

static void
take_accept_ranges(struct object_info *info, const char *value)
{
	while (*value != '\0') {
		size_t len;

		value += strspn(value, ", ");
		len = strcspn(value, ", ");
		if (len == 5 && strncasecmp(value, "bytes", len) == 0)
			info->accepts_ranges = true;
		value += len;
	}
}

static void
take_crc64(struct object_info *info, const char *value)
{
	info->has_crc64 = crc64_parse(value, &info->crc64) == 0;
}

static void
take_crc32c(struct object_info *info, const char *value)
{
	info->has_crc32c = crc32c_parse(value, &info->crc32c) == 0;
}

static void
set_retry_after(struct object_info *info, int64_t seconds)
{
	info->retry_after = seconds < 0 ? 0 : seconds < RETRY_AFTER_MAX ? seconds : RETRY_AFTER_MAX;
}

/* Seconds, or a date (RFC 9110, 10.2.3), which is compared with the answer's own Date. */
static void
take_retry_after(struct object_info *info, const char *value)
{
	const char *end;
	int64_t n;

	if (parse_digits(value, &n, &end) == 0 && *end == '\0')
		set_retry_after(info, n);
	else if ((info->retry_at = curl_getdate(value, NULL)) != -1 && info->date != -1)
		set_retry_after(info, info->retry_at - info->date);
}

static void
take_date(struct object_info *info, const char *value)
{
	info->date = curl_getdate(value, NULL);
	if (info->date != -1 && info->retry_at != -1)
		set_retry_after(info, info->retry_at - info->date);
}

/*
 * Server-side encryption.  With keys of a key service (aws:kms, aws:kms:dsse, cos/kms) or of the
 * customer, an ETag may look like an MD5 and be none.  With AES256 the ETag of S3 stays the MD5.
 * docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html, "ETag"
 */
static void
take_encryption(struct object_info *info, const char *value)
{
	info->encrypted = true;
	info->opaque_etag = info->opaque_etag || strcasecmp(value, "AES256") != 0;
}

static void
take_opaque_encryption(struct object_info *info, const char *value)
{
	(void)value;
	info->encrypted = info->opaque_etag = true;
}

/* Amazon states how many pairs of metadata it has left out, since no header can hold them. */
static void
take_missing(struct object_info *info, const char *value)
{
	if (strcmp(value, "0") != 0)
		lose(info, "x-amz-missing-meta", "the store states metadata that it does not show");
}

#define TAKE_TEXT(field, which)                                               \
	static void take_##field(struct object_info *info, const char *value) \
	{                                                                     \
		object_info_set(info, which, value);                          \
	}
TAKE_TEXT(content_type, INFO_CONTENT_TYPE)
TAKE_TEXT(cache_control, INFO_CACHE_CONTROL)
TAKE_TEXT(content_disposition, INFO_CONTENT_DISPOSITION)
TAKE_TEXT(content_language, INFO_CONTENT_LANGUAGE)
TAKE_TEXT(expires, INFO_EXPIRES)
TAKE_TEXT(location, INFO_LOCATION)

/* For messages only: what does not fit is left out. */
static void
take_server(struct object_info *info, const char *value)
{
	if (strlen(value) < sizeof(info->server))
		strlcpy(info->server, value, sizeof(info->server));
}

static void
take_request_id(struct object_info *info, const char *value)
{
	info->has_request_id = value[0] != '\0';
}

/* What a header of the table is. */
enum {
	LIST = 1, /* two lines are one list */
	/* A value with control characters is none, and must not count as an absent header. */
	GRAVE = 2,
};

/* A header that the new object gets too has an entry of its own. */
static const struct {
	const char *name;
	void (*take)(struct object_info *info, const char *value);
	enum info_text entry; /* INFO_TEXTS: the header does not go along */
	unsigned traits;
} headers[] = {
	{ "content-length", take_content_length, INFO_TEXTS, GRAVE },
	{ "content-range", take_content_range, INFO_TEXTS, GRAVE },
	{ "transfer-encoding", take_transfer_encoding, INFO_TEXTS, GRAVE },
	{ "last-modified", take_last_modified, INFO_TEXTS, 0 },
	{ "accept-ranges", take_accept_ranges, INFO_TEXTS, 0 },
	{ "etag", take_etag, INFO_TEXTS, 0 },
	{ "x-cos-hash-crc64ecma", take_crc64, INFO_TEXTS, 0 },
	{ "x-amz-checksum-crc32c", take_crc32c, INFO_TEXTS, 0 },
	{ "x-amz-version-id", take_version, INFO_TEXTS, 0 },
	{ "x-cos-version-id", take_version, INFO_TEXTS, 0 },
	{ "x-amz-server-side-encryption", take_encryption, INFO_TEXTS, GRAVE },
	{ "x-amz-server-side-encryption-customer-algorithm", take_opaque_encryption, INFO_TEXTS,
	    GRAVE },
	{ "x-cos-server-side-encryption", take_opaque_encryption, INFO_TEXTS, GRAVE },
	{ "x-cos-server-side-encryption-customer-algorithm", take_opaque_encryption, INFO_TEXTS,
	    GRAVE },
	{ "x-amz-missing-meta", take_missing, INFO_TEXTS, GRAVE },
	{ "date", take_date, INFO_TEXTS, 0 },
	{ "retry-after", take_retry_after, INFO_TEXTS, 0 },
	{ "content-type", take_content_type, INFO_CONTENT_TYPE, 0 },
	{ "cache-control", take_cache_control, INFO_CACHE_CONTROL, LIST },
	{ "content-disposition", take_content_disposition, INFO_CONTENT_DISPOSITION, 0 },
	{ "content-encoding", take_content_encoding, INFO_CONTENT_ENCODING, LIST },
	{ "content-language", take_content_language, INFO_CONTENT_LANGUAGE, LIST },
	{ "expires", take_expires, INFO_EXPIRES, 0 },
	{ "location", take_location, INFO_TEXTS, 0 },
	{ "server", take_server, INFO_TEXTS, 0 },
	{ "x-amz-request-id", take_request_id, INFO_TEXTS, 0 },
	{ "x-cos-request-id", take_request_id, INFO_TEXTS, 0 },
};

/* Returns the value of the pair of that name, or NULL. */
static const char *
find_metadata(const struct object_info *info, const char *name)
{
	size_t len = strlen(name);
	const char *pair = NULL;

	while ((pair = object_info_next(info, INFO_METADATA, pair)) != NULL)
		if (strncmp(pair, name, len) == 0 && pair[len] == '\x1f')
			return pair + len + 1;
	return NULL;
}

/* header is the whole name, name what stands behind the prefix. */
static void
take_metadata(struct object_info *info, const char *header, const char *name, const char *value)
{
	char *lower;

	if (!store_is_header_name(name)) {
		lose(info, header, "letters, digits, '-', '_' and '.' are what a name may have");
		return;
	}
	lower = memory_strdup(name);
	text_make_lower(lower);
	if (find_metadata(info, lower) != NULL)
		lose(info, header, "the source states it twice");
	else
		object_info_add_pair(info, INFO_METADATA, lower, value);
	memory_free(lower);
	if (strncasecmp(header, "x-amz-", 6) == 0)
		info->words = true;
}

/*
 * Returns the name behind the prefix of metadata, or NULL.  A plain URL may lead to a store of any
 * dialect, so that both prefixes count.
 */
static const char *
metadata_name(const struct config_store *store, const char *name)
{
	static const char *const any[] = { "x-amz-meta-", "x-cos-meta-" };
	const char *prefix = store_dialect(store->kind)->meta_prefix;
	size_t i;

	for (i = 0; i < sizeof(any) / sizeof(any[0]); i++)
		if ((prefix == NULL || strcmp(prefix, any[i]) == 0) &&
		    strncasecmp(name, any[i], strlen(any[i])) == 0)
			return name + strlen(any[i]);
	return NULL;
}

/* Takes a header of the table, number i. */
static void
take_known(struct object_info *info, size_t i, const char *value)
{
	const char *before = object_info_text(info, headers[i].entry);
	char *both;
	size_t size;

	if (headers[i].entry == INFO_TEXTS || before[0] == '\0') {
		headers[i].take(info, value);
	} else if ((headers[i].traits & LIST) != 0) {
		size = strlen(before) + strlen(value) + 3;
		both = memory_alloc(size);
		snprintf(both, size, "%s, %s", before, value);
		headers[i].take(info, both);
		memory_free(both);
	} else if (strcmp(before, value) != 0) {
		lose(info, headers[i].name, "the source states it twice");
	}
}

void
store_take_header(
    const struct config_store *store, struct object_info *info, const char *name, const char *value)
{
	bool good = store_is_header_value(value);
	const char *meta;
	size_t i;

	for (i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		if (strcasecmp(headers[i].name, name) != 0)
			continue;
		if (good || (headers[i].traits & GRAVE) != 0)
			take_known(info, i, value);
		else if (headers[i].entry != INFO_TEXTS)
			lose(info, name, BAD_VALUE);
		return;
	}
	meta = metadata_name(store, name);
	if (meta != NULL && !good)
		lose(info, name, BAD_VALUE);
	else if (meta != NULL)
		take_metadata(info, name, meta, value);
}
