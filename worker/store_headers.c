/*
 * Response headers: what an answer says of an object, taken in one line at a time.  A server may send anything; what cannot
 * be passed on safely is dropped here, so that nobody further on need ask.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/crc32c.h"
#include "worker/crc64.h"
#include "worker/store_dialect.h"

#define RETRY_AFTER_MAX 86400

void
object_info_init(struct object_info *info)
{
	/* its first byte makes a string empty: to clear all 14 KiB several times a request is what small objects would feel */
	info->etag[0] = info->version[0] = info->content_type[0] = info->cache_control[0] = '\0';
	info->content_disposition[0] = info->content_encoding[0] = info->content_language[0] = info->expires[0] = '\0';
	info->metadata[0] = info->location[0] = '\0';
	info->accepts_ranges = info->has_crc64 = false;
	info->crc64 = 0;
	info->size = -1;
	info->range_first = -1;
	info->range_last = -1;
	info->content_length = -1;
	info->date = -1;
	info->retry_after = -1;
	info->retry_at = -1;
}

void
object_info_copy(struct object_info *to, const struct object_info *from)
{
	memcpy(to, from, offsetof(struct object_info, etag));
	strlcpy(to->etag, from->etag, sizeof(to->etag));
	strlcpy(to->version, from->version, sizeof(to->version));
	strlcpy(to->content_type, from->content_type, sizeof(to->content_type));
	strlcpy(to->cache_control, from->cache_control, sizeof(to->cache_control));
	strlcpy(to->content_disposition, from->content_disposition, sizeof(to->content_disposition));
	strlcpy(to->content_encoding, from->content_encoding, sizeof(to->content_encoding));
	strlcpy(to->content_language, from->content_language, sizeof(to->content_language));
	strlcpy(to->expires, from->expires, sizeof(to->expires));
	strlcpy(to->metadata, from->metadata, sizeof(to->metadata));
	strlcpy(to->location, from->location, sizeof(to->location));
}

/* Digits and nothing else, into *value; *end is what follows them. */
static int
parse_digits(const char *s, int64_t *value, const char **end)
{
	const char *p = s;
	int64_t n = 0;

	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(n, INT64_C(10), &n) || __builtin_add_overflow(n, (int64_t)(*p - '0'), &n))
			return -1;
	if (p == s)
		return -1;
	*value = n;
	*end = p;
	return 0;
}

/* Of a whole object the length is the size too; of a range Content-Range says it, before or after. */
static void
take_content_length(struct object_info *info, const char *value)
{
	const char *end;
	int64_t n;

	if (parse_digits(value, &n, &end) == -1 || *end != '\0')
		return;
	info->content_length = n;
	if (info->size == -1 && info->range_first == -1)
		info->size = n;
}

/*
 * "bytes 0-9/100"; the range (with 416) or the total may be a star instead.  One that contradicts itself leaves
 * range_first at -1, by which a reader of 206 knows that it got no range.
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
	else if (parse_digits(p, &first, &p) == -1 || *p++ != '-' || parse_digits(p, &last, &p) == -1 || first > last)
		return;
	if (*p++ != '/')
		return;
	if (strcmp(p, "*") != 0 && (parse_digits(p, &total, &p) == -1 || *p != '\0' || last >= total))
		return;
	info->size = total;
	info->range_first = first;
	info->range_last = last;
	info->accepts_ranges = info->accepts_ranges || first >= 0;
}

/*
 * Without quotes; a weak one keeps its W/.  Printable ASCII: it goes into headers, documents and a column of the table.
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

static void
take_version(struct object_info *info, const char *value)
{
	const char *p;

	for (p = value; *p != '\0'; p++)
		if (*p <= ' ' || *p > '~')
			return;
	if ((size_t)(p - value) < sizeof(info->version))
		strlcpy(info->version, value, sizeof(info->version));
}

/*
 * All codings but aws-chunked, which is how an upload was framed and no property of the object; some versions of Ceph
 * keep it by mistake.
 */
static void
take_content_encoding(struct object_info *info, const char *value)
{
	char *out = info->content_encoding;
	size_t size = sizeof(info->content_encoding), len = 0;

	out[0] = '\0';
	while (*value != '\0') {
		size_t token;

		value += strspn(value, ", ");
		token = strcspn(value, ", ");
		if (token == 0 || (token == 11 && strncasecmp(value, "aws-chunked", token) == 0)) {
			value += token;
			continue;
		}
		if (len + token + 3 > size) {
			out[0] = '\0'; /* half a list would be another coding */
			return;
		}
		len += (size_t)snprintf(out + len, size - len, "%s%.*s", len > 0 ? ", " : "", (int)token, value);
		value += token;
	}
}

/* "bytes" among the units, "none" not. */
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

/* Seconds or a date (RFC 9110, 10.2.3), which the answer's own Date makes independent of our clock. */
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

#define TAKE_TEXT(field)                                                                            \
	static void take_##field(struct object_info *info, const char *value)                       \
	{                                                                                           \
		if (strlen(value) < sizeof(info->field))                                            \
			strlcpy(info->field, value, sizeof(info->field));                           \
	}
TAKE_TEXT(content_type)
TAKE_TEXT(cache_control)
TAKE_TEXT(content_disposition)
TAKE_TEXT(content_language)
TAKE_TEXT(expires)
TAKE_TEXT(location)

static const struct {
	const char *name;
	void (*take)(struct object_info *info, const char *value);
} headers[] = {
	{ "content-length", take_content_length },
	{ "content-range", take_content_range },
	{ "accept-ranges", take_accept_ranges },
	{ "etag", take_etag },
	{ "x-cos-hash-crc64ecma", take_crc64 },
	{ "x-amz-checksum-crc32c", take_crc32c },
	{ "x-amz-version-id", take_version },
	{ "x-cos-version-id", take_version },
	{ "date", take_date },
	{ "retry-after", take_retry_after },
	{ "content-type", take_content_type },
	{ "cache-control", take_cache_control },
	{ "content-disposition", take_content_disposition },
	{ "content-encoding", take_content_encoding },
	{ "content-language", take_content_language },
	{ "expires", take_expires },
	{ "location", take_location },
};

/* True if the pairs taken in so far have one of that name. */
static bool
has_metadata(const struct object_info *info, const char *name)
{
	size_t len = strlen(name);
	const char *p = info->metadata;

	while (*p != '\0') {
		if (strncasecmp(p, name, len) == 0 && p[len] == '\x1f')
			return true;
		p += strcspn(p, "\x1e");
		p += *p == '\x1e';
	}
	return false;
}

static void
take_metadata(struct object_info *info, const char *name, const char *value)
{
	size_t used = strlen(info->metadata), room = sizeof(info->metadata) - used;
	char *p = info->metadata + used;
	int n;

	if (!store_is_header_name(name) || has_metadata(info, name))
		return;
	n = snprintf(p, room, "%s\x1f%s\x1e", name, value);
	if (n < 0 || (size_t)n >= room) {
		*p = '\0';
		return;
	}
	for (; *p != '\x1f'; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
}

/* The name behind the prefix of metadata, or NULL.  Behind a plain URL, a pre-signed one say, may be any store. */
static const char *
metadata_name(const struct config_store *store, const char *name)
{
	static const char *const any[] = { "x-amz-meta-", "x-cos-meta-" };
	const char *prefix = store_dialect(store->kind)->meta_prefix;
	size_t i;

	for (i = 0; i < sizeof(any) / sizeof(any[0]); i++)
		if ((prefix == NULL || strcmp(prefix, any[i]) == 0) && strncasecmp(name, any[i], strlen(any[i])) == 0)
			return name + strlen(any[i]);
	return NULL;
}

void
store_take_header(const struct config_store *store, struct object_info *info, const char *name, const char *value)
{
	const char *meta;
	size_t i;

	if (!store_is_header_value(value))
		return;
	for (i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		if (strcasecmp(headers[i].name, name) == 0) {
			headers[i].take(info, value);
			return;
		}
	}
	meta = metadata_name(store, name);
	if (meta != NULL)
		take_metadata(info, meta, value);
}
