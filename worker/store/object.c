/*
 * The headers and the metadata of a new object, and the headers that name the source of a copy.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "worker/store/private.h"

/* The pairs are as the dialect takes them: fit.h. */
static int
add_metadata(struct store_draft *d, const struct object_info *info)
{
	const char *pair = NULL;
	char *name;

	while ((pair = object_info_next(info, INFO_METADATA, pair)) != NULL) {
		int len = (int)strcspn(pair, "\x1f");

		if (pair[len] == '\0') {
			snprintf(
			    d->why, d->why_size, "the metadata is not pairs of name and value");
			return -1;
		}
		name = draft_text(d, "%s%.*s", d->dialect->meta_prefix, len, pair);
		if (name == NULL)
			return -1;
		if (len == 0 || !store_is_header_name(name)) {
			snprintf(d->why, d->why_size,
			    "the metadata name \"%.*s\" cannot be a header's", len, pair);
			return -1;
		}
		if (draft_header(d, name, pair + len + 1) == -1)
			return -1;
	}
	return 0;
}

static int
optional_header(struct store_draft *d, const char *name, const char *value)
{
	return value == NULL || value[0] == '\0' ? 0 : draft_header(d, name, value);
}

/*
 * The key is encoded, since a header cannot hold every key.  S3 names the source by path, COS by
 * the bucket's host name without a port.
 */
static int
add_copy_source(struct store_draft *d)
{
	const struct store_call *call = d->call;
	const char *slash = strstr(d->store->endpoint, "//"),
		   *host = slash != NULL ? slash + 2 : d->store->endpoint;
	char key[3 * URI_MAX];
	const char *value;

	if (sign_encode(call->copy_key, true, key, sizeof(key)) == -1) {
		snprintf(d->why, d->why_size, "the source's key is too long for a header");
		return -1;
	}
	if (d->store->kind == STORE_COS)
		value = draft_text(
		    d, "%s.%.*s/%s", call->copy_bucket, (int)strcspn(host, ":/"), host, key);
	else
		value = draft_text(d, "/%s/%s", call->copy_bucket, key);
	return value == NULL ? -1 : draft_header(d, d->dialect->copy_source, value);
}

int
draft_copy_headers(struct store_draft *d)
{
	const struct store_call *call = d->call;
	const char *match = draft_text(d, "\"%s\"", call->if_match);
	const char *range =
	    draft_text(d, "bytes=%" PRId64 "-%" PRId64, call->range_first, call->range_last);

	if (match == NULL || range == NULL || add_copy_source(d) == -1 ||
	    draft_header(d, d->dialect->copy_if_match, match) == -1)
		return -1;
	if (call->op == OP_COPY_PART)
		return draft_header(d, d->dialect->copy_range, range);
	if (call->info == NULL)
		return 0;
	return draft_header(d, d->dialect->copy_replaced.name, d->dialect->copy_replaced.value);
}

static int
add_encryption(struct store_draft *d)
{
	const struct config_store *store = d->store;

	if (store->encryption == ENCRYPTION_NONE)
		return 0;
	if (draft_header(d, d->dialect->encryption, store_encryption_name(store->encryption)) == -1)
		return -1;
	return optional_header(d, d->dialect->encryption_key, store->kms_key);
}

/* The headers that go along, under the names that all dialects share. */
static const struct {
	enum info_text text;
	const char *name;
} texts[] = {
	{ INFO_CONTENT_TYPE, "Content-Type" },
	{ INFO_CACHE_CONTROL, "Cache-Control" },
	{ INFO_CONTENT_DISPOSITION, "Content-Disposition" },
	{ INFO_CONTENT_ENCODING, "Content-Encoding" },
	{ INFO_CONTENT_LANGUAGE, "Content-Language" },
	{ INFO_EXPIRES, "Expires" },
};

int
draft_object_headers(struct store_draft *d)
{
	const struct object_info *info = d->call->info;
	/* a framed body names its framing there, too: checksum.c */
	bool framed = d->call->crc32c && d->call->op == OP_PUT;
	size_t i;

	if (optional_header(d, d->dialect->storage_header, d->call->storage_class) == -1 ||
	    add_encryption(d) == -1)
		return -1;
	if (info == NULL)
		return 0;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (!(framed && texts[i].text == INFO_CONTENT_ENCODING) &&
		    optional_header(d, texts[i].name, object_info_text(info, texts[i].text)) == -1)
			return -1;
	return add_metadata(d, info);
}
