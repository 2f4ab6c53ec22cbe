/*
 * The native dialect of Tencent COS.  cloud.tencent.com/document/product/436/7751
 */
#include <stdio.h>
#include <string.h>

#include "worker/store/private.h"

/*
 * Seconds around now in which a signature is valid.  COS checks it when the request begins, so it
 * must outlive the wait for a connection and the difference of the clocks, but not the body.
 */
#define VALID_BEFORE 60
#define VALID_AFTER 900

/* A bucket is NAME-APPID; it stands before the endpoint's host name. */
static const char *
check_bucket(const struct config_store *store, const char *bucket)
{
	const char *dash = strrchr(bucket, '-');
	size_t len = strlen(bucket);

	(void)store;
	if (len > 63)
		return "a name has 63 characters at most";
	if (strspn(bucket, "abcdefghijklmnopqrstuvwxyz0123456789-") != len || bucket[0] == '-')
		return "a name has small letters, digits and '-' only, and does not begin with '-'";
	if (dash == NULL || dash[1] == '\0' || dash[1 + strspn(dash + 1, "0123456789")] != '\0')
		return "a name ends with '-' and the APPID, as in examplebucket-1250000000";
	return NULL;
}

/* Signs what the vendor's client signs; other headers are sent unsigned. */
static bool
is_signed(const char *name)
{
	static const char *const names[] = {
		"cache-control",
		"content-disposition",
		"content-encoding",
		"content-md5",
		"content-type",
		"expires",
		"host",
		"if-match",
		"if-none-match",
		"if-unmodified-since",
		"range",
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcasecmp(names[i], name) == 0)
			return true;
	return strncasecmp(name, "x-cos-", 6) == 0;
}

static int
sign(struct store_draft *d)
{
	const struct config_store *store = d->store;
	const struct sign_key key = { .access_key = store->access_key,
		.secret_key = store->secret_key };
	const struct sign_period period = {
		.start = d->call->now - VALID_BEFORE,
		.end = d->call->now + VALID_AFTER,
	};
	struct sign_request req;
	char authorization[SIGN_AUTHORIZATION_MAX];
	int i;

	if (store->session_token[0] != '\0' &&
	    draft_header(d, d->dialect->token_header, store->session_token) == -1)
		return -1;
	req = d->sign;
	req.nheaders = 0;
	for (i = 0; i < d->sign.nheaders; i++)
		if (is_signed(d->sign.headers[i].name))
			req.headers[req.nheaders++] = d->sign.headers[i];
	req.headers[req.nheaders++] = (struct sign_pair){ "host", d->host };
	if (sign_cos(&req, &key, &period, authorization, sizeof(authorization)) == -1) {
		snprintf(d->why, d->why_size,
		    "the request cannot be signed: too many or too long headers");
		return -1;
	}
	return draft_header(d, "Authorization", authorization);
}

const struct store_dialect store_dialect_cos = {
	.name = "cos",
	.writable = true,
	.limits = {
		.key_max = 850,
		.part_min = INT64_C(1) << 20,
		.part_max = INT64_C(5) << 30,
		.parts_max = 10000,
		.object_max = (INT64_C(5) << 30) * 10000,
	},
	.meta_prefix = "x-cos-meta-",
	.meta_dashes_only = true,
	.token_header = "x-cos-security-token",
	.storage_header = "x-cos-storage-class",
	.encryption = "x-cos-server-side-encryption",
	.encryption_key = "x-cos-server-side-encryption-cos-kms-key-id",
	.absent_only = { "x-cos-forbid-overwrite", "true" },
	.copy_source = "x-cos-copy-source",
	.copy_range = "x-cos-copy-source-range",
	.copy_if_match = "x-cos-copy-source-If-Match",
	.copy_replaced = { "x-cos-metadata-directive", "Replaced" },
	.check_bucket = check_bucket,
	.sign = sign,
};
