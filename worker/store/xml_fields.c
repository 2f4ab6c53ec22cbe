/*
 * Which elements of which documents matter, and what their text must be.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "worker/base/crc32c.h"
#include "worker/store/xml_private.h"

#define PART_NUMBER_MAX 10000
#define CHECKSUM_WORD_MAX sizeof(((struct s3xml *)0)->checksum_type)
#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static const struct {
	const char *name;
	enum s3xml_root root;
} roots[] = {
	{ "InitiateMultipartUploadResult", S3XML_INITIATE },
	{ "CompleteMultipartUploadResult", S3XML_COMPLETE },
	{ "ListPartsResult", S3XML_LIST_PARTS },
	{ "ListMultipartUploadsResult", S3XML_LIST_UPLOADS },
	{ "Error", S3XML_ERROR },
	{ "CopyObjectResult", S3XML_COPY_OBJECT },
	{ "CopyPartResult", S3XML_COPY_PART },
};

static const struct s3xml_element elements[] = {
	{ S3XML_INITIATE, false, "UploadId", FIELD_UPLOAD_ID, S3XML_UPLOAD_ID_MAX },
	{ S3XML_COMPLETE, false, "ETag", FIELD_ETAG, S3XML_ETAG_MAX },
	{ S3XML_COMPLETE, false, "CRC64", FIELD_CRC64, sizeof(((struct s3xml *)0)->crc64) },
	{ S3XML_COPY_OBJECT, false, "ETag", FIELD_ETAG, S3XML_ETAG_MAX },
	{ S3XML_COPY_OBJECT, false, "CRC64", FIELD_CRC64, sizeof(((struct s3xml *)0)->crc64) },
	{ S3XML_COPY_PART, false, "ETag", FIELD_ETAG, S3XML_ETAG_MAX },
	{ S3XML_COPY_PART, false, "CRC64", FIELD_CRC64, sizeof(((struct s3xml *)0)->crc64) },
	{ S3XML_ERROR, false, "Code", FIELD_CODE, sizeof(((struct s3xml *)0)->code) },
	{ S3XML_ERROR, false, "Message", FIELD_MESSAGE, sizeof(((struct s3xml *)0)->message) },
	{ S3XML_ERROR, false, "CanonicalRequest", FIELD_SIGNED_REQUEST, S3XML_KEY_MAX },
	{ S3XML_ERROR, false, "FormatString", FIELD_SIGNED_REQUEST, S3XML_KEY_MAX },
	{ S3XML_LIST_PARTS, false, "UploadId", FIELD_UPLOAD_ID, S3XML_UPLOAD_ID_MAX },
	{ S3XML_LIST_PARTS, false, "IsTruncated", FIELD_TRUNCATED, 16 },
	{ S3XML_LIST_PARTS, false, "NextPartNumberMarker", FIELD_NEXT_MARKER, 32 },
	{ S3XML_LIST_PARTS, false, "ChecksumAlgorithm", FIELD_CHECKSUM_ALGORITHM,
	    CHECKSUM_WORD_MAX },
	{ S3XML_LIST_PARTS, false, "ChecksumType", FIELD_CHECKSUM_TYPE, CHECKSUM_WORD_MAX },
	{ S3XML_LIST_PARTS, true, "PartNumber", FIELD_PART_NUMBER, 32 },
	{ S3XML_LIST_PARTS, true, "Size", FIELD_PART_SIZE, 32 },
	{ S3XML_LIST_PARTS, true, "ETag", FIELD_PART_ETAG, S3XML_ETAG_MAX },
	{ S3XML_LIST_PARTS, true, "ChecksumCRC32C", FIELD_PART_CRC32C, 32 },
	{ S3XML_LIST_UPLOADS, false, "IsTruncated", FIELD_TRUNCATED, 16 },
	{ S3XML_LIST_UPLOADS, true, "Key", FIELD_KEY, S3XML_KEY_MAX },
	{ S3XML_LIST_UPLOADS, true, "UploadId", FIELD_LISTED_ID, S3XML_UPLOAD_ID_MAX },
	{ S3XML_LIST_UPLOADS, true, "Initiated", FIELD_INITIATED, 64 },
};

void
s3xml_fail(struct s3xml_parser *p, const char *fmt, ...)
{
	va_list ap;

	if (p->failed)
		return;
	va_start(ap, fmt);
	vsnprintf(p->why, sizeof(p->why), fmt, ap);
	va_end(ap);
	p->failed = true;
	XML_StopParser(p->expat, XML_FALSE);
}

enum s3xml_root
s3xml_root(const char *name)
{
	size_t i;

	for (i = 0; i < COUNT(roots); i++)
		if (strcmp(roots[i].name, name) == 0)
			return roots[i].root;
	return S3XML_OTHER;
}

const struct s3xml_element *
s3xml_element(const struct s3xml_parser *p, const char *name)
{
	size_t i;

	if (p->depth != (p->in_item ? 3 : 2))
		return NULL;
	for (i = 0; i < COUNT(elements); i++)
		if (elements[i].root == p->x->root && elements[i].in_item == p->in_item &&
		    strcmp(elements[i].name, name) == 0)
			return &elements[i];
	return NULL;
}

bool
s3xml_is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The text without white space at its ends, in place. */
static char *
text_trimmed(struct s3xml_parser *p)
{
	char *s = p->text;

	while (p->len > 0 && s3xml_is_space(p->text[p->len - 1]))
		p->len--;
	p->text[p->len] = '\0';
	while (s3xml_is_space(*s))
		s++;
	return s;
}

/*
 * Removes the quotes.  The rest must be printable ASCII without a quote, because it goes into
 * headers, documents and a column.
 */
static void
take_etag(struct s3xml_parser *p, char *s, char etag[S3XML_ETAG_MAX])
{
	size_t len = strlen(s), i;

	if (len >= 2 && s[0] == '"' && s[len - 1] == '"') {
		s[--len] = '\0';
		s++;
		len--;
	}
	for (i = 0; i < len; i++)
		if (s[i] <= ' ' || s[i] > '~' || s[i] == '"') {
			s3xml_fail(p, "a forbidden character in an ETag");
			return;
		}
	memcpy(etag, s, len + 1);
}

/* The text behind mark, up to one of the characters of ends.  Returns its length, 0: not there. */
static size_t
find_host(const char **s, const char *mark, const char *ends)
{
	const char *at = strstr(*s, mark);

	if (at == NULL)
		return 0;
	*s = at + strlen(mark);
	return strcspn(*s, ends);
}

/*
 * Amazon repeats the request that it has signed in lines "host:HOST:PORT" (CanonicalRequest), COS
 * in pairs "host=HOST%3APORT" (FormatString; document 436/7730).
 */
static void
take_signed_host(const char *s, char *host, size_t size)
{
	size_t len = find_host(&s, "\nhost:", "\r\n"), i, n = 0;

	if (len == 0 && (len = find_host(&s, "\nhost=", "&\r\n")) == 0)
		len = find_host(&s, "&host=", "&\r\n");
	for (i = 0; i < len && n + 1 < size; i++) {
		bool colon = strncasecmp(s + i, "%3a", 3) == 0;

		host[n++] = colon ? ':' : s[i];
		i += colon ? 2 : 0;
	}
	host[n] = '\0';
}

static void
take_upload_id(struct s3xml_parser *p, const char *s, char id[S3XML_UPLOAD_ID_MAX])
{
	size_t i;

	for (i = 0; s[i] != '\0'; i++)
		if (s[i] <= ' ' || s[i] > '~') {
			s3xml_fail(p, "a forbidden character in an UploadId");
			return;
		}
	memcpy(id, s, i + 1);
}

/* "2026-11-24T16:21:09.123Z"; the fraction is ignored. */
static int64_t
take_time(struct s3xml_parser *p, const char *s)
{
	struct tm tm = { 0 };
	const char *end = strptime(s, "%Y-%m-%dT%H:%M:%S", &tm);

	if (end != NULL && *end == '.')
		end += 1 + strspn(end + 1, "0123456789");
	if (end == NULL || strcmp(end, "Z") != 0) {
		s3xml_fail(p, "Initiated is no time");
		return -1;
	}
	return (int64_t)timegm(&tm);
}

static int64_t
take_number(struct s3xml_parser *p, const char *what, const char *s, int64_t min, int64_t max)
{
	char *end;
	int64_t value;

	errno = 0;
	value = strtoll(s, &end, 10);
	if (*s < '0' || *s > '9' || *end != '\0' || errno != 0 || value < min || value > max) {
		s3xml_fail(p, "%s is no number from %" PRId64 " to %" PRId64, what, min, max);
		return min;
	}
	return value;
}

static void
take_truncated(struct s3xml_parser *p, const char *s)
{
	p->x->truncated = strcmp(s, "true") == 0;
	if (!p->x->truncated && strcmp(s, "false") != 0)
		s3xml_fail(p, "IsTruncated is neither true nor false");
}

static void
take_part(struct s3xml_parser *p, enum s3xml_field field, char *s)
{
	struct s3xml_part *part = &p->x->parts[p->x->nparts];

	switch (field) {
	case FIELD_PART_NUMBER:
		part->number = (int)take_number(p, "PartNumber", s, 1, PART_NUMBER_MAX);
		break;
	case FIELD_PART_SIZE:
		part->size = take_number(p, "Size", s, 0, INT64_MAX);
		break;
	case FIELD_PART_ETAG:
		take_etag(p, s, part->etag);
		break;
	case FIELD_PART_CRC32C: /* a malformed one is treated as missing */
		part->has_crc32c = crc32c_parse(s, &part->crc32c) == 0;
		break;
	default:
		break;
	}
}

static void
take_upload(struct s3xml_parser *p, enum s3xml_field field, const char *s)
{
	struct s3xml_upload *upload = &p->x->uploads[p->x->nuploads];

	switch (field) {
	case FIELD_KEY:
		strlcpy(upload->key, s, sizeof(upload->key));
		break;
	case FIELD_LISTED_ID:
		take_upload_id(p, s, upload->id);
		break;
	case FIELD_INITIATED:
		upload->initiated = take_time(p, s);
		break;
	default:
		break;
	}
}

static void
take_outside_items(struct s3xml_parser *p, enum s3xml_field field, char *s)
{
	struct s3xml *x = p->x;

	switch (field) {
	case FIELD_UPLOAD_ID:
		take_upload_id(p, s, x->upload_id);
		break;
	case FIELD_ETAG:
		take_etag(p, s, x->etag);
		break;
	case FIELD_CODE:
		strlcpy(x->code, s, sizeof(x->code));
		break;
	case FIELD_MESSAGE:
		strlcpy(x->message, s, sizeof(x->message));
		break;
	case FIELD_SIGNED_REQUEST:
		take_signed_host(s, x->signed_host, sizeof(x->signed_host));
		break;
	case FIELD_CRC64:
		strlcpy(x->crc64, s, sizeof(x->crc64));
		break;
	case FIELD_TRUNCATED:
		take_truncated(p, s);
		break;
	case FIELD_NEXT_MARKER: /* may be empty on the last page */
		x->next_marker =
		    *s == '\0' ? 0
			       : (int)take_number(p, "NextPartNumberMarker", s, 0, PART_NUMBER_MAX);
		break;
	case FIELD_CHECKSUM_ALGORITHM:
		strlcpy(x->checksum_algorithm, s, sizeof(x->checksum_algorithm));
		break;
	case FIELD_CHECKSUM_TYPE:
		strlcpy(x->checksum_type, s, sizeof(x->checksum_type));
		break;
	default:
		break;
	}
}

void
s3xml_take(struct s3xml_parser *p)
{
	const struct s3xml_element *e = p->element;
	char *s = e->field == FIELD_KEY ? p->text : text_trimmed(p);

	p->element = NULL;
	p->text[p->len] = '\0';
	if (!e->in_item)
		take_outside_items(p, e->field, s);
	else if (e->root == S3XML_LIST_PARTS)
		take_part(p, e->field, s);
	else
		take_upload(p, e->field, s);
}
