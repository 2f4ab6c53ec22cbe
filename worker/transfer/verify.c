#include "worker/transfer/verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "worker/store/etag.h"
#include "worker/http/request.h"
#include "worker/event/call.h"
#include "worker/transfer/destination.h"
#include "worker/transfer/parts.h"

int
verify_expected(struct transfer *t, uint64_t crc64, struct failure *f)
{
	const struct task *task = t->task;
	const struct object_info *source = &t->source.info;

	if (task->has_expect_crc64 && task->expect_crc64 != crc64)
		return failure_set(f, CLASS_PERMANENT,
		    "the source has CRC64 %" PRIu64 ", expect_crc64 is %" PRIu64, crc64,
		    task->expect_crc64);
	if (source->has_crc64 && source->crc64 != crc64) {
		t->outcome.rotten = true;
		return failure_set(f, CLASS_TRANSIENT,
		    "what came from the source has CRC64 %" PRIu64 ", the source says %" PRIu64
		    ": changed on the way",
		    crc64, source->crc64);
	}
	return 0;
}

uint64_t
verify_crc64(const struct transfer *t)
{
	return transfer_is_copy(t) ? t->source.info.crc64 : parts_crc64(t);
}

/* True if the ETag of the answer is what S3 makes of the bytes, by its form, and not encrypted. */
static bool
tells_bytes(const struct transfer *t, const struct object_info *info)
{
	int nparts = transfer_has_parts(t) ? t->nparts : 0;

	return store_etag_has_form(info->etag, nparts) && !info->opaque_etag &&
	       !t->destination.encrypts;
}

/*
 * Compares what the store says of its copy and of the source.  A store that encrypts, or that
 * splits the object anew, gives the copy another ETag.
 */
static enum proof
compare_copy(const struct transfer *t, const struct object_info *info)
{
	const struct object_info *source = &t->source.info;
	char expected[S3XML_ETAG_MAX];

	if (info->has_crc64 && source->has_crc64)
		return info->crc64 == source->crc64 ? PROOF_CRC64 : PROOF_DIFFERS;
	if (!transfer_has_parts(t))
		strlcpy(expected, t->source.pin.etag, sizeof(expected));
	else if (!parts_object_etag(t, expected, sizeof(expected)))
		return PROOF_SIZE;
	if (strcasecmp(store_etag_opaque(info->etag), expected) == 0)
		return PROOF_MD5;
	/* two MD5s: the ETag of the source may be another thing, too */
	if (t->destination.verify != VERIFY_MD5 || source->opaque_etag || !tells_bytes(t, info) ||
	    !(transfer_has_parts(t) || store_etag_has_form(expected, 0)))
		return PROOF_SIZE;
	return PROOF_DIFFERS;
}

/* The store states no other checksum than the ETag, and the parts' own ETags were their MD5s. */
static enum proof
compare_etag(const struct transfer *t, const struct object_info *info)
{
	const struct destination *destination = &t->destination;
	const char *etag = store_etag_opaque(info->etag);
	char expected[64];

	if (!parts_object_etag(t, expected, sizeof(expected)))
		return PROOF_SIZE;
	if (strcasecmp(etag, expected) == 0)
		return PROOF_MD5;
	/* an earlier attempt sent the object in one PUT, this attempt as one part */
	if (destination->doubtful && t->nparts == 1 &&
	    strcasecmp(etag, parts_etag(&t->parts[0])) == 0)
		return PROOF_MD5;
	/* a store that encrypts makes other ETags */
	if (destination->verify != VERIFY_MD5 || info->opaque_etag || destination->encrypts)
		return PROOF_SIZE;
	if (tells_bytes(t, info))
		return PROOF_DIFFERS;
	return destination->verify_auto ? PROOF_SIZE : PROOF_UNLIKE;
}

static enum proof
compare(const struct transfer *t, const struct object_info *info)
{
	const struct destination *destination = &t->destination;
	uint32_t crc32c;

	if (info->size != t->size)
		return PROOF_DIFFERS;
	if (transfer_is_copy(t))
		return compare_copy(t, info);
	if (destination->verify == VERIFY_CRC32C && info->has_crc32c && parts_crc32c(t, &crc32c))
		return info->crc32c == crc32c ? PROOF_CRC32C : PROOF_DIFFERS;
	if (info->has_crc64)
		return info->crc64 == parts_crc64(t) ? PROOF_CRC64 : PROOF_DIFFERS;
	if (destination->unlike)
		return info->opaque_etag ? PROOF_SIZE : PROOF_DIFFERS;
	return compare_etag(t, info);
}

int
verify_ask(struct transfer *t, enum proof *proof, char *told, size_t told_size)
{
	bool wants_crc32c = t->destination.verify == VERIFY_CRC32C;
	struct http_request r;
	int rc;

	if (!destination_asks(t)) {
		*proof = PROOF_UNASKED;
		snprintf(told, told_size, "an object that was not asked for");
		return 0;
	}
	destination_prepare(t, &r, OP_HEAD);
	rc = call_repeat(t->w, &r, &t->failure);
	if (rc == -1 && http_says_absent(&r)) {
		failure_init(&t->failure);
		*proof = PROOF_ABSENT;
		snprintf(told, told_size, "no object");
		rc = 0;
	} else if (rc == 0) {
		*proof = compare(t, &r.info);
		snprintf(told, told_size, "%" PRId64 " bytes, ETag %.64s%s", r.info.size,
		    r.info.etag, wants_crc32c && !r.info.has_crc32c ? ", no CRC32C" : "");
		if (text_is_plain(r.info.etag))
			strlcpy(t->outcome.etag, r.info.etag, sizeof(t->outcome.etag));
	}
	http_release(&r);
	return rc;
}

/* The word for verified_by if the proof is what the store's verify wants, else NULL. */
static const char *
verified_by(const struct transfer *t, enum proof proof)
{
	static const struct {
		enum proof proof;
		const char *name;
	} wanted[] = {
		[VERIFY_CRC64] = { PROOF_CRC64, "crc64" },
		[VERIFY_CRC32C] = { PROOF_CRC32C, "crc32c" },
		[VERIFY_MD5] = { PROOF_MD5, "md5" },
		[VERIFY_SIZE] = { PROOF_SIZE, "size" },
	};
	enum store_verify verify = t->destination.verify;

	if (proof >= PROOF_SIZE && (verify == VERIFY_SIZE || proof == wanted[verify].proof)) {
		/* both ends have the same ETag; whether it is the MD5 of the bytes is not known */
		if (transfer_is_copy(t) && verify == VERIFY_MD5)
			return "etag";
		return wanted[verify].name;
	}
	/* COS, configured as S3, says the CRC64 too: it proves as much */
	if (proof == PROOF_CRC64)
		return "crc64";
	/* the store's answers carry no checksum, and the configuration asks for none by name */
	if (proof == PROOF_SIZE && t->destination.verify_auto)
		return "size";
	return NULL;
}

/*
 * True if the object that is there is the one that this attempt made, by its ETag, and is proven to
 * be other bytes.  Anything less is a doubt, and nothing is removed on a doubt: a store may
 * encrypt, have ETags of its own, or have got another object meanwhile.
 */
static bool
is_spoiled(const struct transfer *t, enum proof proof)
{
	const char *made = transfer_has_parts(t) ? t->outcome.made : parts_etag(&t->parts[0]);

	return proof == PROOF_DIFFERS && made[0] != '\0' &&
	       store_etag_is_same(made, t->outcome.etag);
}

static int
differs(struct transfer *t, enum proof proof, const char *told)
{
	const char *what = proof < PROOF_UNLIKE ? "destination differs"
						: "destination is not proven to be what was sent";

	strlcpy(t->failure.store, t->destination.store->conf.name, sizeof(t->failure.store));
	if (transfer_is_copy(t))
		return failure_set(&t->failure, CLASS_TRANSIENT,
		    "%s: it has %s; copied were %" PRId64 " bytes", what, told, t->size);
	return failure_set(&t->failure, CLASS_TRANSIENT,
	    "%s: it has %s; sent were %" PRId64 " bytes, CRC64 %" PRIu64, what, told, t->size,
	    t->outcome.crc64);
}

int
verify_destination(struct transfer *t)
{
	struct outcome *o = &t->outcome;
	enum proof proof = PROOF_ABSENT;
	char told[128];

	o->crc64 = verify_crc64(t);
	if (t->destination.verify == VERIFY_NONE) {
		o->verified_by = "none";
		return 0;
	}
	if (verify_ask(t, &proof, told, sizeof(told)) == -1)
		return -1;
	if ((o->verified_by = verified_by(t, proof)) != NULL)
		return 0;
	o->spoiled = is_spoiled(t, proof);
	/*
	 * a later attempt could not detect this: the CRC32C of the parts are gone once the upload
	 * is complete
	 */
	o->rotten = o->rotten || o->spoiled || t->destination.verify == VERIFY_CRC32C;
	return differs(t, proof, told);
}
