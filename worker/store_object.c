/*
 * Headers of requests: each value checked once, here, on its way into a draft; and those that a new object gets, its metadata
 * among them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "worker/store_dialect.h"

bool
store_is_header_name(const char *name)
{
	const char *p;

	for (p = name; *p != '\0'; p++)
		if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || *p == '-' ||
			*p == '_' || *p == '.'))
			return false;
	return p != name;
}

bool
store_is_header_value(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return false;
	return true;
}

/*
 * Trimmed, because a server trims what it reads and must then find what was signed.
 */
int
draft_header(struct store_draft *d, const char *name, const char *value)
{
	size_t len;

	if (!store_is_header_value(value)) {
		snprintf(d->why, d->why_size, "the value for %s has a control character in it", name);
		return -1;
	}
	if (strlen(name) + strlen(value) + 3 > HEADER_MAX) {
		snprintf(d->why, d->why_size, "the value for %.100s is longer than %d bytes", name, HEADER_MAX);
		return -1;
	}
	if (d->sign.nheaders == SIGN_PAIRS_MAX - 1) {
		/* one is kept for Host */
		snprintf(d->why, d->why_size, "more than %d headers and metadata", SIGN_PAIRS_MAX - 1);
		return -1;
	}
	value += strspn(value, " ");
	for (len = strlen(value); len > 0 && value[len - 1] == ' '; len--)
		;
	value = draft_text(d, "%.*s", (int)len, value);
	if (value == NULL)
		return -1;
	d->sign.headers[d->sign.nheaders++] = (struct sign_pair){ name, value };
	return 0;
}

static bool
has_header(const struct store_draft *d, const char *name)
{
	int i;

	for (i = 0; i < d->sign.nheaders; i++)
		if (strcasecmp(d->sign.headers[i].name, name) == 0)
			return true;
	return false;
}

/*
 * One pair of metadata.  COS keeps no '_' and no '.' in names, so they become '-' there; of two names that are then the same
 * the first stays.
 */
static int
metadata_pair(struct store_draft *d, const char *name, int name_len, const char *value, int value_len, int *total)
{
	char *full = draft_text(d, "%s%.*s", d->dialect->meta_prefix, name_len, name), *p;
	const char *text = draft_text(d, "%.*s", value_len, value);

	if (full == NULL || text == NULL)
		return -1;
	if (name_len == 0 || !store_is_header_name(full)) {
		snprintf(d->why, d->why_size, "the metadata name \"%.*s\" cannot be a header's", name_len, name);
		return -1;
	}
	for (p = full; d->dialect->meta_dashes_only && *p != '\0'; p++)
		if (*p == '_' || *p == '.')
			*p = '-';
	if (has_header(d, full))
		return 0;
	*total += (int)(strlen(full) + strlen(text));
	if (d->dialect->meta_max > 0 && *total > d->dialect->meta_max) {
		snprintf(d->why, d->why_size, "the metadata is larger than the %d bytes that %s takes",
		    d->dialect->meta_max, d->dialect->name);
		return -1;
	}
	return draft_header(d, full, text);
}

/* "name\x1fvalue\x1e" for each pair. */
static int
draft_metadata(struct store_draft *d, const char *metadata)
{
	int total = 0;

	while (*metadata != '\0') {
		size_t name_len = strcspn(metadata, "\x1f\x1e"), value_len;
		const char *value = metadata + name_len + 1;

		if (metadata[name_len] != '\x1f') {
			snprintf(d->why, d->why_size, "the metadata is not pairs of name and value");
			return -1;
		}
		value_len = strcspn(value, "\x1e");
		if (metadata_pair(d, metadata, (int)name_len, value, (int)value_len, &total) == -1)
			return -1;
		metadata = value + value_len + (value[value_len] == '\x1e');
	}
	return 0;
}

static int
optional_header(struct store_draft *d, const char *name, const char *value)
{
	return value == NULL || value[0] == '\0' ? 0 : draft_header(d, name, value);
}

/*
 * Encoded, since a header cannot hold every key.  S3 names the source by path, COS by the bucket's host, without a port: it is a
 * name there, not an address.
 */
static int
draft_copy_source(struct store_draft *d)
{
	const struct store_call *call = d->call;
	const char *slash = strstr(d->store->endpoint, "//"), *host = slash != NULL ? slash + 2 : d->store->endpoint;
	char key[3 * URI_MAX];
	const char *value;

	if (sign_encode(call->copy_key, true, key, sizeof(key)) == -1) {
		snprintf(d->why, d->why_size, "the source's key is too long for a header");
		return -1;
	}
	if (d->store->kind == STORE_COS)
		value = draft_text(d, "%s.%.*s/%s", call->copy_bucket, (int)strcspn(host, ":/"), host, key);
	else
		value = draft_text(d, "/%s/%s", call->copy_bucket, key);
	return value == NULL ? -1 : draft_header(d, d->dialect->copy_source, value);
}

int
draft_copy_headers(struct store_draft *d)
{
	const struct store_call *call = d->call;
	const char *match = draft_text(d, "\"%s\"", call->if_match);
	const char *range = draft_text(d, "bytes=%" PRId64 "-%" PRId64, call->range_first, call->range_last);

	if (match == NULL || range == NULL || draft_copy_source(d) == -1 ||
	    draft_header(d, d->dialect->copy_if_match, match) == -1)
		return -1;
	if (call->op == OP_COPY_PART)
		return draft_header(d, d->dialect->copy_range, range);
	if (call->info == NULL)
		return 0;
	return draft_header(d, d->dialect->copy_replaced.name, d->dialect->copy_replaced.value);
}

int
draft_object_headers(struct store_draft *d)
{
	const struct object_info *info = d->call->info;
	/* that of a framed body has the framing in it: store_checksum.c */
	const char *coding = info == NULL || (d->call->crc32c && d->call->op == OP_PUT) ? NULL : info->content_encoding;

	if (optional_header(d, d->dialect->storage_header, d->call->storage_class) == -1)
		return -1;
	if (info == NULL)
		return 0;
	if (optional_header(d, "Content-Type", info->content_type) == -1 ||
	    optional_header(d, "Cache-Control", info->cache_control) == -1 ||
	    optional_header(d, "Content-Disposition", info->content_disposition) == -1 ||
	    optional_header(d, "Content-Encoding", coding) == -1 ||
	    optional_header(d, "Content-Language", info->content_language) == -1 ||
	    optional_header(d, "Expires", info->expires) == -1)
		return -1;
	return draft_metadata(d, info->metadata);
}
