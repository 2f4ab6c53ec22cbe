#include "worker/transfer/finish.h"

#include <inttypes.h>
#include <string.h>
#include <sysexits.h>

#include "common/base/log.h"
#include "worker/event/loop.h"
#include "worker/transfer/checkpoint.h"
#include "worker/transfer/complete.h"
#include "worker/transfer/destination.h"
#include "worker/transfer/parts.h"
#include "worker/transfer/verify.h"

static int
finish_put(struct transfer *t)
{
	enum store_verify verify = t->destination.verify;
	struct outcome *o = &t->outcome;

	o->crc64 = t->parts[0].crc64;
	strlcpy(o->etag, parts_etag(&t->parts[0]), sizeof(o->etag));
	/* the answer to the PUT had the checksum, and pipe/check.c has compared it */
	if ((verify == VERIFY_MD5 && !t->destination.opaque_etags && !t->destination.unlike) ||
	    verify == VERIFY_CRC32C || (verify == VERIFY_CRC64 && o->has_server_crc64)) {
		o->verified_by = store_verify_name(verify);
		return 0;
	}
	return verify_destination(t);
}

/* The temporary file is gone: an earlier attempt may have given it its name. */
static int
was_renamed(struct transfer *t, bool *completed)
{
	struct outcome *o = &t->outcome;
	uint64_t crc64;

	switch (file_read_whole(t->w, &t->destination.file, t->size, &crc64, &t->failure)) {
	case FILE_FAILED:
		return -1;
	case FILE_ABSENT:
		break;
	case FILE_FOUND:
		o->crc64 = parts_crc64(t);
		o->verified_by = "crc64";
		*completed = crc64 == o->crc64;
	}
	return 0;
}

/*
 * Matching ETags prove as much as checksums here: the store checked each part's when it took the
 * part, and the object's ETag is made of those of the parts.
 */
static const char *
completed_by(const struct transfer *t, enum proof proof)
{
	if (proof == PROOF_CRC64)
		return "crc64";
	if (transfer_is_copy(t))
		return "etag";
	return t->destination.verify == VERIFY_CRC32C ? "crc32c" : "md5";
}

int
finish_was_completed(struct transfer *t, bool *completed)
{
	enum proof proof = PROOF_ABSENT;
	char told[128];
	int i;

	/* a proof needs the checksums of all parts */
	for (i = 0; i < t->nparts; i++) {
		if (t->parts[i].state == PART_LEFT)
			return 0;
	}
	if (t->way == WAY_FILE)
		return was_renamed(t, completed);
	if (verify_ask(t, &proof, told, sizeof(told)) == -1)
		return -1;
	*completed = proof >= PROOF_MD5;
	if (*completed) {
		t->outcome.crc64 = verify_crc64(t);
		t->outcome.verified_by = completed_by(t, proof);
	}
	return 0;
}

static int
commit_file(struct transfer *t)
{
	bool replace = t->task->if_exists == IF_EXISTS_OVERWRITE;

	switch (file_commit(&t->destination.file, replace, &t->failure)) {
	case FILE_STOLEN:
		t->outcome.rotten = true;
		break;
	case FILE_LEFT:
		break;
	case FILE_EXISTS:
		return destination_exists(t);
	case FILE_MADE:
		return 0;
	}
	return -1;
}

static int
finish_file(struct transfer *t)
{
	bool reads_back = t->destination.verify == VERIFY_CRC64;
	struct file *file = &t->destination.file;
	struct outcome *o = &t->outcome;
	uint64_t crc64 = 0;

	o->crc64 = parts_crc64(t);
	if (verify_expected(t, o->crc64, &t->failure) == -1 ||
	    file_sync(t->w, file, t->size, reads_back ? &crc64 : NULL, &t->failure) == -1)
		return -1;
	o->verified_by = store_verify_name(t->destination.verify);
	if (reads_back && crc64 != o->crc64) {
		o->rotten = true;
		return failure_set(&t->failure, CLASS_TRANSIENT,
		    "destination differs: read back it has CRC64 %" PRIu64 ", sent was %" PRIu64,
		    crc64, o->crc64);
	}
	/*
	 * An interruption from here on finds the temporary file or the whole one.  Reading back may
	 * have taken long: we ask once more whether the claim is ours.
	 */
	if (checkpoint_intend(t) == -1 || loop_await_lease(t->w) == LOOP_INTERRUPTED)
		return -1;
	return commit_file(t);
}

int
finish(struct transfer *t)
{
	switch (t->way) {
	case WAY_PUT:
		return finish_put(t);
	case WAY_PARTS:
	case WAY_COPY_PARTS:
		return complete_upload(t);
	case WAY_COPY:
		return verify_destination(t);
	case WAY_FILE:
		return finish_file(t);
	case WAY_UNDECIDED:
	case WAY_UNSIZED:
		break;
	}
	fatal(EX_SOFTWARE, "the end of a transfer without a way");
}
