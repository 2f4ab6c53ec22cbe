/*
 * Completion, doubt, verification.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/clock.h"
#include "worker/checkpoint.h"
#include "worker/expect.h"
#include "worker/finish.h"
#include "worker/lease.h"
#include "worker/loop.h"
#include "worker/memory.h"
#include "worker/parts.h"
#include "worker/target.h"
#include "worker/upload.h"

/* How much an answer about the destination proves. */
enum proof { PROOF_ABSENT, PROOF_DIFFERS, PROOF_SIZE, PROOF_MD5, PROOF_CRC64, PROOF_CRC32C };

/* No sum was computed here of what the store has copied: the store's own, 0 if it says none. */
static uint64_t
finish_crc64(const struct transfer *t)
{
	return t->copying ? t->source.info.crc64 : parts_crc64(t);
}

/* What the store says of its copy and of the source.  One that encrypts, or puts together anew, makes other ETags. */
static enum proof
finish_compare_copy(const struct transfer *t, const struct object_info *info)
{
	char expected[S3XML_ETAG_MAX];
	bool known = true;

	if (info->has_crc64 && t->source.info.has_crc64)
		return info->crc64 == t->source.info.crc64 ? PROOF_CRC64 : PROOF_DIFFERS;
	if (t->multipart)
		known = parts_object_etag(t, expected, sizeof(expected));
	else
		strlcpy(expected, t->source.etag, sizeof(expected));
	return known && strcasecmp(info->etag, expected) == 0 ? PROOF_MD5 : PROOF_SIZE;
}

static enum proof
finish_compare(const struct transfer *t, const struct object_info *info)
{
	char expected[64];
	uint32_t crc32c;

	if (info->size != t->size)
		return PROOF_DIFFERS;
	if (t->copying)
		return finish_compare_copy(t, info);
	if (t->verify == VERIFY_CRC32C && info->has_crc32c && parts_crc32c(t, &crc32c))
		return info->crc32c == crc32c ? PROOF_CRC32C : PROOF_DIFFERS;
	if (info->has_crc64)
		return info->crc64 == parts_crc64(t) ? PROOF_CRC64 : PROOF_DIFFERS;
	if (!parts_object_etag(t, expected, sizeof(expected)))
		return PROOF_SIZE;
	if (strcasecmp(info->etag, expected) == 0)
		return PROOF_MD5;
	/* an earlier attempt has put it in one PUT, this one in one part */
	if (t->doubtful && t->nparts == 1 && strcasecmp(info->etag, parts_etag(&t->parts[0])) == 0)
		return PROOF_MD5;
	/* a store that encrypts makes other ETags; whoever asked for the size alone knows that */
	return t->verify == VERIFY_MD5 ? PROOF_DIFFERS : PROOF_SIZE;
}

/* Asks the destination.  Returns 0 or -1; what it said is in t->failure only if it is not an answer. */
static int
finish_ask(struct transfer *t, enum proof *proof, char *told, size_t told_size)
{
	struct http_request r;
	int rc;

	target_prepare(t, &r, OP_HEAD);
	rc = http_call(t->w, &r, &t->failure);
	if (rc == -1 && r.status == 404) {
		failure_init(&t->failure);
		*proof = PROOF_ABSENT;
		snprintf(told, told_size, "no object");
		rc = 0;
	} else if (rc == 0) {
		*proof = finish_compare(t, &r.info);
		snprintf(told, told_size, "%" PRId64 " bytes, ETag %.64s%s", r.info.size, r.info.etag,
		    t->verify == VERIFY_CRC32C && !r.info.has_crc32c ? ", no CRC32C" : "");
		if (text_is_plain(r.info.etag))
			strlcpy(t->etag, r.info.etag, sizeof(t->etag));
	}
	http_release(&r);
	return rc;
}

/* Is the proof what the store's verify asks for?  Sets t->verified_by. */
static bool
finish_is_verified(struct transfer *t, enum proof proof)
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

	if (proof >= PROOF_SIZE && (t->verify == VERIFY_SIZE || proof == wanted[t->verify].proof)) {
		t->verified_by = wanted[t->verify].name;
		/* the ETags of both ends agree; whether they are MD5s of what is there, only the store knows */
		if (t->copying && t->verify == VERIFY_MD5)
			t->verified_by = "etag";
		return true;
	}
	/* COS spoken to as S3 says it too, and it proves as much */
	if (proof == PROOF_CRC64) {
		t->verified_by = "crc64";
		return true;
	}
	/* the store's answers carry no checksum: said so, and only where none was asked for by name */
	if (proof == PROOF_SIZE && t->verify_auto) {
		t->verified_by = "size";
		return true;
	}
	return false;
}

static int
finish_verify(struct transfer *t)
{
	enum proof proof = PROOF_ABSENT;
	char told[128];

	t->crc64 = finish_crc64(t);
	if (t->verify == VERIFY_NONE) {
		t->verified_by = "none";
		return 0;
	}
	if (finish_ask(t, &proof, told, sizeof(told)) == -1)
		return -1;
	if (finish_is_verified(t, proof))
		return 0;
	/* of one CopyObject there is an object already */
	if (t->copying && !t->multipart && proof != PROOF_ABSENT)
		t->spoiled = true;
	/* whoever found the upload completed would know no CRC32C of its parts any more, and could not see this again */
	t->rotten = t->rotten || t->verify == VERIFY_CRC32C;
	strlcpy(t->failure.store, t->target.store->conf.name, sizeof(t->failure.store));
	if (t->copying)
		return failure_set(&t->failure, CLASS_TRANSIENT, "destination differs: it has %s; copied were %" PRId64
		    " bytes", told, t->size);
	return failure_set(&t->failure, CLASS_TRANSIENT, "destination differs: it has %s; sent were %" PRId64
	    " bytes, CRC64 %" PRIu64, told, t->size, t->crc64);
}

static int
finish_put(struct transfer *t)
{
	t->crc64 = t->parts[0].crc64;
	strlcpy(t->etag, parts_etag(&t->parts[0]), sizeof(t->etag));
	/* its answer said all: the writer has compared */
	if (t->verify == VERIFY_MD5 && !t->opaque_etags) {
		t->verified_by = "md5";
		return 0;
	}
	if (t->verify == VERIFY_CRC32C) {
		t->verified_by = "crc32c";
		return 0;
	}
	if (t->verify == VERIFY_CRC64 && t->has_server_crc64) {
		t->verified_by = "crc64";
		return 0;
	}
	return finish_verify(t);
}

/* The temporary file is gone: is it the target now? */
static int
finish_was_renamed(struct transfer *t, bool *completed)
{
	uint64_t crc64;
	int rc;

	rc = file_read_target(t->w, &t->target.file, t->size, &crc64, &t->failure);
	if (rc != 1)
		return rc;
	t->crc64 = parts_crc64(t);
	*completed = crc64 == t->crc64;
	t->verified_by = "crc64";
	return 0;
}

int
finish_was_completed(struct transfer *t, bool *completed)
{
	enum proof proof = PROOF_ABSENT;
	char told[128];
	int i;

	/* without the sums of all parts nothing can be proved */
	for (i = 0; i < t->nparts; i++) {
		if (t->parts[i].state == PART_LEFT)
			return 0;
	}
	if (t->target.is_file)
		return finish_was_renamed(t, completed);
	if (finish_ask(t, &proof, told, sizeof(told)) == -1)
		return -1;
	*completed = proof >= PROOF_MD5;
	if (!*completed)
		return 0;
	t->crc64 = finish_crc64(t);
	/* ETags that come to the object's are as good there: each part was let in by its checksum, and the whole by theirs */
	t->verified_by = proof == PROOF_CRC64 ? "crc64" : t->copying ? "etag" : t->verify == VERIFY_CRC32C ? "crc32c" : "md5";
	return 0;
}

static char *
finish_body(const struct transfer *t, size_t *len)
{
	struct store_etag *etags = memory_alloc((size_t)t->nparts * sizeof(*etags));
	char *body;
	int i;

	for (i = 0; i < t->nparts; i++)
		etags[i] = (struct store_etag){ i + 1, parts_etag(&t->parts[i]), t->parts[i].has_crc32c, t->parts[i].crc32c };
	body = store_complete_body(etags, t->nparts, len);
	memory_free(etags);
	if (body == NULL)
		memory_exhausted(1);
	return body;
}

/* One Complete.  Returns 0: it says that it succeeded; 1: it says nothing certain; -1 with the failure. */
static int
finish_complete_once(struct transfer *t, const char *body, size_t len)
{
	struct http_request r;
	int rc;

	target_prepare(t, &r, OP_COMPLETE);
	r.call.upload_id = t->upload_id;
	r.call.content_length = (int64_t)len;
	r.call.crc32c = t->verify == VERIFY_CRC32C && parts_crc32c(t, &r.call.whole_crc32c);
	r.call.if_none_match_any = t->task->if_exists != IF_EXISTS_OVERWRITE;
	r.body = body;
	rc = http_once(t->w, &r, &t->failure);
	if (rc == 0 && r.xml.root == S3XML_ERROR) {
		rc = http_failure(&r, &t->failure, store_classify(r.status, r.xml.code, OP_COMPLETE), "HTTP %d, then %s%s%s",
		    r.status, r.xml.code, r.xml.message[0] != '\0' ? ": " : "", r.xml.message);
		strlcpy(t->failure.code, r.xml.code, sizeof(t->failure.code));
	} else if (rc == 0 && r.xml.root != S3XML_COMPLETE) {
		rc = http_failure(&r, &t->failure, CLASS_TRANSIENT, "the answer is no result");
	} else if (rc == 0 && (r.xml.etag[0] == '\0' || !text_is_plain(r.xml.etag))) {
		rc = 1;
	} else if (rc == 0) {
		strlcpy(t->etag, r.xml.etag, sizeof(t->etag));
	}
	http_release(&r);
	return rc;
}

/*
 * Whether what a store of kind s3 says is there, after a Complete of ours, is somebody else's and must stay.  Ceph before Squid takes no notice
 * of a condition on Complete, so it is not to be asked again then.  An object of parts says in its ETag how many they were.
 */
static bool
finish_is_theirs(const struct transfer *t, enum proof proof)
{
	char parts[16];
	const char *dash = strrchr(t->etag, '-');

	if (t->task->if_exists == IF_EXISTS_OVERWRITE || t->target.store->conf.kind != STORE_S3)
		return false;
	snprintf(parts, sizeof(parts), "-%d", t->nparts);
	return proof == PROOF_DIFFERS || (proof == PROOF_SIZE && (dash == NULL || strcmp(dash, parts) != 0));
}

/* After a Complete that may or may not have taken effect: what is there.  t->failure stays what it was. */
static int
finish_doubt(struct transfer *t, enum proof *proof)
{
	struct failure told = t->failure;
	char text[128];

	failure_init(&t->failure);
	if (finish_ask(t, proof, text, sizeof(text)) == -1)
		return -1;
	t->failure = told;
	return 0;
}

/* Asks, before a Complete that is not the first, where that could replace what is somebody else's.  Returns 1 if it would, 0, -1. */
static int
finish_meets_theirs(struct transfer *t)
{
	enum proof proof = PROOF_ABSENT;

	if (t->task->if_exists == IF_EXISTS_OVERWRITE || t->target.store->conf.kind != STORE_S3)
		return 0;
	if (finish_doubt(t, &proof) == -1)
		return -1;
	return finish_is_theirs(t, proof);
}

/* A store may have said 200 before it looked: then it is the code that says what the status would have. */
static bool
finish_in_doubt(const struct transfer *t)
{
	const struct failure *f = &t->failure;

	return f->class == CLASS_NONE || f->class == CLASS_TRANSIENT || f->class == CLASS_THROTTLED || f->status == 404 ||
	    strcmp(f->code, "NoSuchUpload") == 0 || f->status == 412 || f->status == 409 || target_is_taken(t, f);
}

static int
finish_complete(struct transfer *t, const char *body, size_t len)
{
	enum proof proof = PROOF_ABSENT;
	int64_t at;
	int tries = 0, rc;
	bool taken;

	for (;;) {
		failure_init(&t->failure);
		rc = finish_complete_once(t, body, len);
		if (rc == 0)
			return 0;
		/* the parts that it lists do not come to it: one of them is not what it was */
		if (strcmp(t->failure.code, "BadDigest") == 0)
			t->rotten = true;
		if (worker_interrupted(t->w) || t->rotten || !finish_in_doubt(t))
			return -1;
		taken = target_is_taken(t, &t->failure);
		if (finish_doubt(t, &proof) == -1)
			return -1;
		/* the size alone may be that of what was there before */
		if (proof >= PROOF_MD5 || (proof == PROOF_SIZE && t->failure.class == CLASS_NONE)) {
			failure_init(&t->failure);
			/* what is there is an earlier attempt's: this upload has not become it */
			return taken ? upload_drop(t) : 0;
		}
		if (taken || finish_is_theirs(t, proof))
			return target_exists(t);
		if (t->failure.status == 404 || strcmp(t->failure.code, "NoSuchUpload") == 0)
			return failure_set(&t->failure, CLASS_TRANSIENT, "%s: the upload vanished, and the object is not there",
			    t->target.store->conf.name);
		if (t->failure.class == CLASS_NONE)
			failure_set(&t->failure, CLASS_TRANSIENT, "%s: CompleteMultipartUpload: no ETag, and no object",
			    t->target.store->conf.name);
		at = failure_retry_at(&t->failure, ++tries, clock_ms());
		if (at == 0)
			return -1;
		if (loop_wait(t->w, loop_never, NULL, at) == -1 || (rc = finish_meets_theirs(t)) == -1)
			return -1;
		if (rc == 1)
			return target_exists(t);
	}
}

/*
 * Ceph before Squid takes no notice of a condition on Complete: hours may lie between the look at the beginning and this one.  An
 * earlier attempt's PUT or Complete may have made what is there.  Returns 0, with t->skipped if it stays; 1 if it did; -1.
 */
static int
finish_look(struct transfer *t)
{
	enum proof proof = PROOF_ABSENT;
	int rc;

	if (t->target.store->conf.kind != STORE_S3)
		return 0;
	if (t->doubtful) {
		if (finish_doubt(t, &proof) == -1)
			return -1;
		return proof == PROOF_ABSENT ? 0 : proof >= PROOF_MD5 ? 1 : target_exists(t);
	}
	if (!t->checkpoint.completing)
		return target_look(t, false);
	rc = finish_meets_theirs(t);
	return rc == 1 ? target_exists(t) : rc;
}

static int
finish_multipart(struct transfer *t)
{
	char *body;
	size_t len;
	int rc;

	if (expect_check(t, finish_crc64(t), &t->failure) == -1 || (rc = finish_look(t)) == -1)
		return -1;
	if (t->skipped)
		return 0;
	if (rc == 1)
		return upload_drop(t) == -1 ? -1 : finish_verify(t);
	if (checkpoint_intend(t) == -1)
		return -1;
	body = finish_body(t, &len);
	rc = finish_complete(t, body, len);
	free(body);
	if (rc == -1 || t->skipped)
		return rc;
	return finish_verify(t);
}

static int
finish_file(struct transfer *t)
{
	uint64_t crc64 = 0;
	bool exists;

	t->crc64 = parts_crc64(t);
	if (expect_check(t, t->crc64, &t->failure) == -1)
		return -1;
	if (file_sync(t->w, &t->target.file, t->size, t->verify == VERIFY_CRC64 ? &crc64 : NULL, &t->failure) == -1)
		return -1;
	t->verified_by = store_verify_name(t->verify);
	if (t->verify == VERIFY_CRC64 && crc64 != t->crc64) {
		t->rotten = true;
		return failure_set(&t->failure, CLASS_TRANSIENT, "destination differs: read back it has CRC64 %" PRIu64
		    ", sent was %" PRIu64, crc64, t->crc64);
	}
	/* from here on an interruption finds either a temporary file or the whole one; the claim is asked for once more */
	if (checkpoint_intend(t) == -1 || lease_await(t->w) == -1)
		return -1;
	if (file_commit(&t->target.file, t->task->if_exists == IF_EXISTS_OVERWRITE, &exists, &t->failure) == -1)
		return -1;
	return exists ? target_exists(t) : 0;
}

int
finish(struct transfer *t)
{
	if (t->target.is_file)
		return finish_file(t);
	if (t->multipart)
		return finish_multipart(t);
	return t->copying ? finish_verify(t) : finish_put(t);
}
