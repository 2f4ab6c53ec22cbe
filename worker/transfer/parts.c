#include "worker/transfer/parts.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/text.h"
#include "worker/base/crc32c.h"
#include "worker/base/crc64.h"
#include "worker/base/memory.h"
#include "worker/store/store.h"
#include "worker/transfer/limits.h"

void
parts_lay_out(struct transfer *t)
{
	int room;

	parts_release(t);
	if (t->way == WAY_UNSIZED) {
		room = limits_parts_max(t->destination.store);
	} else {
		room = t->size > t->part_size ? (int)((t->size - 1) / t->part_size + 1) : 1;
		t->nparts = room;
	}
	t->parts = memory_alloc((size_t)room * sizeof(*t->parts));
	t->parts_done = 0;
	t->next_part = 1;
	t->bytes_done = 0;
}

const char *
parts_etag(const struct part *part)
{
	return part->long_etag != NULL ? part->long_etag : part->etag;
}

void
parts_take(struct transfer *t, int number, uint64_t crc64, const char *etag)
{
	struct part *part = &t->parts[number - 1];

	part->crc64 = crc64;
	part->state = PART_DONE;
	if (strlcpy(part->etag, etag, sizeof(part->etag)) >= sizeof(part->etag)) {
		memory_free(part->long_etag);
		part->long_etag = memory_strdup(etag);
	}
	t->parts_done++;
	t->bytes_done += transfer_part_size(t, number);
}

void
parts_take_crc32c(struct transfer *t, int number, uint32_t crc32c)
{
	t->parts[number - 1].crc32c = crc32c;
	t->parts[number - 1].has_crc32c = true;
}

uint64_t
parts_crc64(const struct transfer *t)
{
	uint64_t crc = 0;
	int i;

	for (i = 1; i <= t->nparts; i++)
		crc = crc64_combine(crc, t->parts[i - 1].crc64, (uint64_t)transfer_part_size(t, i));
	return crc;
}

bool
parts_crc32c(const struct transfer *t, uint32_t *crc32c)
{
	int i;

	*crc32c = 0;
	for (i = 1; i <= t->nparts; i++) {
		if (!t->parts[i - 1].has_crc32c)
			return false;
		*crc32c = crc32c_combine(
		    *crc32c, t->parts[i - 1].crc32c, (uint64_t)transfer_part_size(t, i));
	}
	return true;
}

void
parts_release(struct transfer *t)
{
	int i;

	for (i = 0; i < t->nparts && t->parts != NULL; i++)
		memory_free(t->parts[i].long_etag);
	memory_free(t->parts);
	t->parts = NULL;
	t->nparts = 0;
}

static bool
parse_md5(const char *etag, unsigned char digest[16])
{
	char byte[3] = "";
	int i;

	if (!text_is_hex(etag, 32))
		return false;
	for (i = 0; i < 16; i++) {
		memcpy(byte, etag + 2 * i, 2);
		digest[i] = (unsigned char)strtoul(byte, NULL, 16);
	}
	return true;
}

bool
parts_object_etag(const struct transfer *t, char *out, size_t size)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	char hex[2 * sizeof(digest) + 1];
	EVP_MD_CTX *md5;
	bool known = true;
	unsigned len;
	int i;

	if (t->destination.opaque_etags || t->destination.store->conf.kind != STORE_S3)
		return false;
	if (!transfer_has_parts(t)) {
		strlcpy(out, parts_etag(&t->parts[0]), size);
		return parse_md5(out, digest);
	}
	if ((md5 = EVP_MD_CTX_new()) == NULL || EVP_DigestInit_ex(md5, EVP_md5(), NULL) != 1)
		memory_exhausted(1);
	for (i = 0; i < t->nparts && known; i++) {
		known = parse_md5(parts_etag(&t->parts[i]), digest);
		if (known)
			EVP_DigestUpdate(md5, digest, 16);
	}
	EVP_DigestFinal_ex(md5, digest, &len);
	EVP_MD_CTX_free(md5);
	snprintf(out, size, "%s-%d", text_hex(hex, digest, len), t->nparts);
	return known;
}
