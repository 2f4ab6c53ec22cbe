/*
 * The dialect of S3: Amazon's, Ceph's and others'.  docs.aws.amazon.com/AmazonS3/latest/API,
 * docs.ceph.com/en/latest/radosgw/s3
 */
#include <stdio.h>
#include <string.h>

#include "worker/store/private.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyz"
#define CAPITALS "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

/* Older Ceph buckets have names that no host can have; they are reached by path. */
static const char *
check_bucket(const struct config_store *store, const char *bucket)
{
	bool virtual = store->addressing == ADDRESSING_VIRTUAL;
	size_t len = strlen(bucket);

	if (len < 3 || len > (virtual ? 63 : 255))
		return virtual ? "a name has 3 to 63 characters" : "a name has 3 to 255 characters";
	if (!virtual && strspn(bucket, LETTERS CAPITALS DIGITS "._-") != len)
		return "a name has letters, digits, '.', '_' and '-' only";
	if (virtual && strspn(bucket, LETTERS DIGITS ".-") != len)
		return "a name that is part of a host name has small letters, digits, '.' and '-' "
		       "only";
	if (strspn(bucket, LETTERS CAPITALS DIGITS) == 0)
		return "a name begins with a letter or digit";
	if (virtual && (strstr(bucket, "..") != NULL || strchr(".-", bucket[len - 1]) != NULL))
		return "a name that is part of a host name has no empty label and ends with a "
		       "letter or digit";
	return NULL;
}

static int
sign(struct store_draft *d)
{
	const struct config_store *store = d->store;
	struct sign_key key = {
		.access_key = store->access_key,
		.secret_key = store->secret_key,
		.region = store->region[0] != '\0' ? store->region : "us-east-1",
	};
	bool framed = d->call->crc32c && (d->call->op == OP_PUT || d->call->op == OP_UPLOAD_PART);
	const char *payload = framed ? "STREAMING-UNSIGNED-PAYLOAD-TRAILER" : "UNSIGNED-PAYLOAD";
	char date[32], authorization[SIGN_AUTHORIZATION_MAX];
	int result;

	sign_v4_date(d->call->now, date, sizeof(date));
	d->sign.payload_hash = payload;
	if (draft_header(d, "x-amz-date", date) == -1 ||
	    draft_header(d, "x-amz-content-sha256", payload) == -1)
		return -1;
	if (store->session_token[0] != '\0' &&
	    draft_header(d, d->dialect->token_header, store->session_token) == -1)
		return -1;
	/* Host is signed here, and sent by libcurl */
	d->sign.headers[d->sign.nheaders++] = (struct sign_pair){ "host", d->host };
	result = sign_v4(&d->sign, &key, d->call->now, authorization, sizeof(authorization));
	d->sign.nheaders--;
	if (result == -1) {
		snprintf(d->why, d->why_size,
		    "the request cannot be signed: too many or too long headers");
		return -1;
	}
	return draft_header(d, "Authorization", authorization);
}

const struct store_dialect store_dialect_s3 = {
	.name = "s3",
	.writable = true,
	.limits = {
		.key_max = 1024,
		.part_min = INT64_C(5) << 20,
		.part_max = INT64_C(5) << 30,
		.parts_max = 10000,
		/* 48.83 TiB; a store with a lower limit refuses by itself */
		.object_max = (INT64_C(5) << 30) * 10000,
	},
	.meta_prefix = "x-amz-meta-",
	.meta_words = true,
	.token_header = "x-amz-security-token",
	.storage_header = "x-amz-storage-class",
	.encryption = "x-amz-server-side-encryption",
	.encryption_key = "x-amz-server-side-encryption-aws-kms-key-id",
	.absent_only = { "If-None-Match", "*" },
	.copy_source = "x-amz-copy-source",
	.copy_range = "x-amz-copy-source-range",
	.copy_if_match = "x-amz-copy-source-if-match",
	.copy_replaced = { "x-amz-metadata-directive", "REPLACE" },
	.check_bucket = check_bucket,
	.sign = sign,
};
