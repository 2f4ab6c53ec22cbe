#include <stdio.h>
#include <string.h>

#include "worker/store/private.h"

static const struct store_dialect *const dialects[] = {
	[STORE_S3] = &store_dialect_s3,
	[STORE_COS] = &store_dialect_cos,
	[STORE_FILE] = &store_dialect_file,
	[STORE_HTTP] = &store_dialect_http,
};

const struct store_dialect *
store_dialect(enum store_kind kind)
{
	return dialects[kind];
}

bool
store_is_writable(enum store_kind kind)
{
	return dialects[kind]->writable;
}

const struct store_limits *
store_limits(enum store_kind kind)
{
	return &dialects[kind]->limits;
}

int
store_check_name(const struct config_store *store, const char *bucket, const char *key, char *why,
    size_t why_size)
{
	const struct store_dialect *dialect = dialects[store->kind];
	size_t len = strlen(key);
	const char *wrong;

	wrong = dialect->check_bucket != NULL
		    ? dialect->check_bucket(store, bucket == NULL ? "" : bucket)
		    : NULL;
	if (wrong != NULL) {
		snprintf(why, why_size, "bucket \"%.80s\" of store %s: %s",
		    bucket == NULL ? "" : bucket, store->name, wrong);
		return -1;
	}
	if (len == 0) {
		snprintf(why, why_size, "the key is empty");
		return -1;
	}
	if (len > (size_t)dialect->limits.key_max) {
		snprintf(why, why_size, "the key has %zu bytes, store %s (%s) takes %d at most",
		    len, store->name, dialect->name, dialect->limits.key_max);
		return -1;
	}
	if (!store_is_header_value(key) ||
	    (store->kind == STORE_HTTP && strchr(key, ' ') != NULL)) {
		snprintf(why, why_size, "the key contains a %s",
		    store->kind == STORE_HTTP ? "blank or control character" : "control character");
		return -1;
	}
	return 0;
}
