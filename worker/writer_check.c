/*
 * What the destination says that it has taken, against what was sent.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "worker/memory.h"
#include "worker/writer.h"

/* A part can be sent again; an object in one PUT is there, and is not what it should be: see transfer.c. */
static void
writer_spoil(struct writer *w)
{
	if (w->number != 0)
		return;
	w->t->spoiled = true;
	strlcpy(w->t->etag, w->etag, sizeof(w->t->etag));
}

/* The MD5 that was computed on the way against the ETag, which is one as long as the server does not encrypt. */
static int
writer_check_md5(struct writer *w, struct failure *f)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	char hex[2 * EVP_MAX_MD_SIZE + 1];
	unsigned len, i;

	if (EVP_DigestFinal_ex(w->md5, digest, &len) != 1)
		memory_exhausted(1);
	for (i = 0; i < len; i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	if (strcasecmp(hex, w->etag) == 0)
		return 0;
	if (w->t->verify_auto && (strlen(w->etag) != 2 * len || strspn(w->etag, "0123456789abcdefABCDEF") != 2 * len)) {
		w->t->opaque_etags = true;
		return 0;
	}
	writer_spoil(w);
	return http_failure(&w->put, f, CLASS_TRANSIENT,
	    "destination differs: ETag %.64s, but what was sent has MD5 %s", w->etag, hex);
}

/* A server that knows the checksum has compared it with the trailer, and says it again. */
static int
writer_check_crc32c(struct writer *w, struct failure *f)
{
	const struct object_info *info = &w->put.info;

	if (info->has_crc32c && info->crc32c == w->crc32c)
		return 0;
	writer_spoil(w);
	if (!info->has_crc32c)
		return http_failure(&w->put, f, CLASS_PERMANENT,
		    "the server says no x-amz-checksum-crc32c and seems to know none: set verify of the store to another");
	return http_failure(&w->put, f, CLASS_TRANSIENT, "destination differs: CRC32C %08" PRIx32
	    ", but what was sent has %08" PRIx32, info->crc32c, w->crc32c);
}

int
writer_check(struct writer *w, struct failure *f)
{
	const struct object_info *info = &w->put.info;

	if (!text_is_plain(info->etag))
		return http_failure(&w->put, f, CLASS_TRANSIENT, "an ETag of unprintable characters");
	strlcpy(w->etag, info->etag, sizeof(w->etag));
	w->has_server_crc64 = info->has_crc64;
	w->server_crc64 = info->crc64;
	if (w->t->verify == VERIFY_CRC64 && info->has_crc64 && info->crc64 != w->crc64) {
		writer_spoil(w);
		return http_failure(&w->put, f, CLASS_TRANSIENT,
		    "destination differs: CRC64 %" PRIu64 ", but what was sent has %" PRIu64, info->crc64, w->crc64);
	}
	if (w->framed)
		return writer_check_crc32c(w, f);
	if (w->md5 != NULL)
		return writer_check_md5(w, f);
	return 0;
}

/* We give no hash of a framed body: a server that misses one has taken its announcement for that, and knows no trailers. */
int
writer_blame_frame(struct writer *w, struct failure *f)
{
	if (!w->framed || strcmp(f->code, "XAmzContentSHA256Mismatch") != 0)
		return -1;
	return http_failure(&w->put, f, CLASS_PERMANENT,
	    "HTTP %d XAmzContentSHA256Mismatch: the server seems to know no x-amz-checksum-crc32c: set verify of the store to another",
	    w->put.status);
}
