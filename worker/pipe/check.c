#include "worker/pipe/check.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "common/base/text.h"
#include "worker/base/memory.h"
#include "worker/http/answer.h"
#include "worker/store/etag.h"
#include "worker/transfer/destination.h"

/* The answer differs.  A part can be sent again, but a single PUT has made an object: spoiled.h. */
static void
spoil(struct writer *w)
{
	w->damaged = true;
	if (w->number != 0)
		return;
	w->t->outcome.spoiled = true;
	strlcpy(w->t->outcome.etag, w->etag, sizeof(w->t->outcome.etag));
}

/*
 * True if the ETag may be something else than an MD5.  If such an ETag is the MD5 nevertheless, the
 * bytes are right; if not, nothing is known.
 */
static bool
is_opaque(const struct writer *w)
{
	return w->put.info.opaque_etag || w->t->destination.encrypts || !text_is_hex(w->etag, 32);
}

/* The ETag is the MD5 of the bytes, unless the server encrypts or has ETags of its own. */
static int
check_md5(struct writer *w, struct failure *f)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	char hex[2 * EVP_MAX_MD_SIZE + 1];
	unsigned len;

	if (EVP_DigestFinal_ex(w->md5, digest, &len) != 1)
		memory_exhausted(1);
	if (strcasecmp(text_hex(hex, digest, len), w->etag) == 0)
		return 0;
	if (is_opaque(w)) {
		w->t->destination.opaque_etags = true;
		if (w->t->destination.verify_auto)
			return 0;
		return http_failure(&w->put, f, CLASS_PERMANENT,
		    "the ETag %.64s is no MD5, so it does not prove what was sent: set verify of "
		    "the store to \"auto\" or \"crc32c\"",
		    w->etag);
	}
	/*
	 * A single PUT has made an object.  A HEAD says whether it is encrypted, and decides:
	 * transfer/verify.c.
	 */
	if (w->number == 0) {
		w->t->destination.unlike = true;
		return 0;
	}
	spoil(w);
	http_failure(&w->put, f, CLASS_TRANSIENT,
	    "destination differs: ETag %.64s, but what was sent has MD5 %s", w->etag, hex);
	return failure_blame(f, TROUBLE_OBJECT); /* other bytes arrived: an attempt */
}

/* A server that knows CRC32C has compared it with the trailer, and repeats it in the answer. */
static int
check_crc32c(struct writer *w, struct failure *f)
{
	const struct object_info *info = &w->put.info;

	if (info->has_crc32c && info->crc32c == w->crc32c)
		return 0;
	/* nothing is known of the object, so it is not removed */
	if (!info->has_crc32c)
		return http_failure(&w->put, f, CLASS_PERMANENT,
		    "the server says no x-amz-checksum-crc32c and seems to know none: set verify "
		    "of the store to another");
	spoil(w);
	http_failure(&w->put, f, CLASS_TRANSIENT,
	    "destination differs: CRC32C %08" PRIx32 ", but what was sent has %08" PRIx32,
	    info->crc32c, w->crc32c);
	return failure_blame(f, TROUBLE_OBJECT); /* other bytes arrived: an attempt */
}

int
check_answer(struct writer *w, struct failure *f)
{
	const struct object_info *info = &w->put.info;

	if (!text_is_plain(info->etag))
		return http_failure(
		    &w->put, f, CLASS_TRANSIENT, "an ETag of unprintable characters");
	/* a proxy may weaken an ETag; Complete names it as the store knows it */
	strlcpy(w->etag, store_etag_opaque(info->etag), sizeof(w->etag));
	w->has_server_crc64 = info->has_crc64;
	w->server_crc64 = info->crc64;
	if (w->t->destination.verify == VERIFY_CRC64 && info->has_crc64 &&
	    info->crc64 != w->crc64) {
		spoil(w);
		http_failure(&w->put, f, CLASS_TRANSIENT,
		    "destination differs: CRC64 %" PRIu64 ", but what was sent has %" PRIu64,
		    info->crc64, w->crc64);
		return failure_blame(f, TROUBLE_OBJECT); /* other bytes arrived: an attempt */
	}
	if (w->framed ? check_crc32c(w, f) == -1 : w->md5 != NULL && check_md5(w, f) == -1)
		return -1;
	return w->number == 0 ? destination_check_encrypted(w->t, &w->put, f) : 0;
}

/* This error to a framed body means that the server does not know trailers. */
int
check_frame(struct writer *w, struct failure *f)
{
	if (!w->framed || strcmp(f->code, "XAmzContentSHA256Mismatch") != 0)
		return -1;
	return http_failure(&w->put, f, CLASS_PERMANENT,
	    "HTTP %d XAmzContentSHA256Mismatch: the server seems to know no x-amz-checksum-crc32c: "
	    "set verify of the store to another",
	    w->put.status);
}
