#include "worker/transfer/complete.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "worker/base/memory.h"
#include "worker/store/classify.h"
#include "worker/store/complete.h"
#include "worker/http/answer.h"
#include "worker/http/request.h"
#include "worker/event/call.h"
#include "worker/event/loop.h"
#include "worker/transfer/checkpoint.h"
#include "worker/transfer/destination.h"
#include "worker/transfer/parts.h"
#include "worker/transfer/upload.h"
#include "worker/transfer/verify.h"

static char *
complete_body(const struct transfer *t, size_t *len)
{
	struct store_etag *etags = memory_alloc((size_t)t->nparts * sizeof(*etags));
	char *body;
	int i;

	for (i = 0; i < t->nparts; i++)
		etags[i] = (struct store_etag){ i + 1, parts_etag(&t->parts[i]),
			t->parts[i].has_crc32c, t->parts[i].crc32c };
	body = store_complete_body(etags, t->nparts, len);
	memory_free(etags);
	if (body == NULL)
		memory_exhausted(1);
	return body;
}

/* What the answer to a Complete says. */
enum said {
	SAID_FAILED, /* with t->failure */
	SAID_MADE,
	SAID_UNCLEAR, /* success, but without the object's ETag */
};

static enum said
read_answer(struct transfer *t, struct http_request *r)
{
	struct failure *f = &t->failure;

	if (r->xml.root == S3XML_ERROR) {
		http_failure(r, f, store_classify(r->status, r->xml.code, OP_COMPLETE),
		    "HTTP %d, then %s%s%s", r->status, r->xml.code,
		    r->xml.message[0] != '\0' ? ": " : "", r->xml.message);
		strlcpy(f->code, r->xml.code, sizeof(f->code));
		store_blame(f, r->store->conf.kind);
		return SAID_FAILED;
	}
	t->destination.unclear = r->xml.etag[0] == '\0' || !text_is_plain(r->xml.etag);
	if (t->destination.unclear)
		return SAID_UNCLEAR;
	strlcpy(t->outcome.etag, r->xml.etag, sizeof(t->outcome.etag));
	strlcpy(t->outcome.made, r->xml.etag, sizeof(t->outcome.made));
	return SAID_MADE;
}

static enum said
send_complete(struct transfer *t, const char *body, size_t len)
{
	struct http_request r;
	enum said said = SAID_FAILED;

	destination_prepare(t, &r, OP_COMPLETE);
	r.call.upload_id = t->upload_id;
	r.call.content_length = (int64_t)len;
	r.call.crc32c =
	    t->destination.verify == VERIFY_CRC32C && parts_crc32c(t, &r.call.whole_crc32c);
	r.call.if_none_match_any = t->task->if_exists != IF_EXISTS_OVERWRITE &&
				   !t->destination.store->complete_lacks_condition;
	r.body = body;
	if (call_once(t->w, &r, &t->failure) == 0)
		said = read_answer(t, &r);
	http_release(&r);
	return said;
}

/*
 * Ceph before Squid ignores a condition on Complete, so what is there after a Complete must be held
 * against what was sent before Complete is sent again.  True if the object there is not ours and
 * must stay.  The ETag of an object of parts ends in their number.
 */
static bool
is_theirs(const struct transfer *t, enum proof proof)
{
	const char *dash = strrchr(t->outcome.etag, '-');
	char parts[16];

	if (t->task->if_exists == IF_EXISTS_OVERWRITE || destination_judges_complete(t))
		return false;
	snprintf(parts, sizeof(parts), "-%d", t->nparts);
	return proof == PROOF_DIFFERS || proof == PROOF_UNLIKE ||
	       (proof == PROOF_SIZE && (dash == NULL || strcmp(dash, parts) != 0));
}

/* Asks what is there now.  t->failure stays as it was, unless asking fails. */
static int
ask_in_doubt(struct transfer *t, enum proof *proof)
{
	struct failure told = t->failure;
	char text[128];

	failure_init(&t->failure);
	if (verify_ask(t, proof, text, sizeof(text)) == -1)
		return -1;
	t->failure = told;
	return 0;
}

/* Looks before a Complete that is not the first: it could replace an object that is not ours. */
static int
look_for_theirs(struct transfer *t, bool *theirs)
{
	enum proof proof = PROOF_ABSENT;

	*theirs = false;
	if (t->task->if_exists == IF_EXISTS_OVERWRITE || destination_judges_complete(t))
		return 0;
	if (ask_in_doubt(t, &proof) == -1)
		return -1;
	*theirs = is_theirs(t, proof);
	return 0;
}

static bool
upload_vanished(const struct failure *f)
{
	return f->status == 404 || strcmp(f->code, "NoSuchUpload") == 0;
}

/*
 * True if the object may have been made although Complete failed.  A store may answer 200 and put
 * the error into the body: then only its code tells.
 */
static bool
is_in_doubt(const struct transfer *t)
{
	const struct failure *f = &t->failure;

	return f->class == CLASS_NONE || f->class == CLASS_TRANSIENT ||
	       f->class == CLASS_THROTTLED || upload_vanished(f) || f->status == 412 ||
	       f->status == 409 || destination_is_taken(t, f);
}

/* What one Complete came to. */
enum attempt {
	ATTEMPT_FAILED, /* with t->failure, or interrupted */
	ATTEMPT_MADE, /* our object is there */
	ATTEMPT_THEIRS, /* an object that is not ours is there */
	ATTEMPT_VANISHED, /* neither the upload nor an object is there */
	ATTEMPT_AGAIN, /* nothing has happened, as far as can be seen */
};

/* Complete failed or was not clear: what is there decides. */
static enum attempt
resolve_doubt(struct transfer *t)
{
	bool taken = destination_is_taken(t, &t->failure);
	enum proof proof = PROOF_ABSENT;

	if (ask_in_doubt(t, &proof) == -1)
		return ATTEMPT_FAILED;
	/* the right size proves nothing after a failure: an older object may have it */
	if (proof >= PROOF_MD5 || (proof == PROOF_SIZE && t->failure.class == CLASS_NONE)) {
		failure_init(&t->failure);
		/* an earlier attempt made the object, so this upload is left over */
		return taken && upload_drop(t) == -1 ? ATTEMPT_FAILED : ATTEMPT_MADE;
	}
	if (taken || is_theirs(t, proof))
		return ATTEMPT_THEIRS;
	return upload_vanished(&t->failure) ? ATTEMPT_VANISHED : ATTEMPT_AGAIN;
}

static enum attempt
attempt_complete(struct transfer *t, const char *body, size_t len)
{
	enum said said;
	bool theirs;

	failure_init(&t->failure);
	said = send_complete(t, body, len);
	/* without the condition, a look right before has to do */
	if (said == SAID_FAILED && destination_lacks_condition(t, OP_COMPLETE)) {
		if (look_for_theirs(t, &theirs) == -1)
			return ATTEMPT_FAILED;
		if (theirs)
			return ATTEMPT_THEIRS;
		said = send_complete(t, body, len);
	}
	if (said == SAID_MADE)
		return ATTEMPT_MADE;
	/* the checksums of the parts do not add up to the object's: a part has changed */
	if (strcmp(t->failure.code, "BadDigest") == 0)
		t->outcome.rotten = true;
	if (worker_interrupted(t->w) || t->outcome.rotten)
		return ATTEMPT_FAILED;
	if (t->failure.renew_ms > 0)
		return ATTEMPT_AGAIN;
	if (!is_in_doubt(t))
		return ATTEMPT_FAILED;
	return resolve_doubt(t);
}

/* Waits before the next Complete.  Returns ATTEMPT_AGAIN, or what ends the attempts. */
static enum attempt
wait_for_next(struct transfer *t, int tries)
{
	bool theirs;
	int64_t at;

	if (t->failure.class == CLASS_NONE)
		failure_set(&t->failure, CLASS_TRANSIENT,
		    "%s: CompleteMultipartUpload: no ETag, and no object",
		    t->destination.store->conf.name);
	at = failure_retry_at(&t->failure, tries, clock_ms());
	if (at == 0 || loop_wait(t->w, loop_never, NULL, at) == LOOP_INTERRUPTED ||
	    look_for_theirs(t, &theirs) == -1)
		return ATTEMPT_FAILED;
	return theirs ? ATTEMPT_THEIRS : ATTEMPT_AGAIN;
}

static int
complete(struct transfer *t, const char *body, size_t len)
{
	enum attempt end;
	int tries = 0;

	do {
		end = attempt_complete(t, body, len);
		if (end == ATTEMPT_AGAIN)
			end = wait_for_next(t, tries += failure_counts(&t->failure));
	} while (end == ATTEMPT_AGAIN);

	if (end == ATTEMPT_THEIRS)
		return destination_exists(t);
	if (end == ATTEMPT_VANISHED)
		return failure_set(&t->failure, CLASS_TRANSIENT,
		    "%s: the upload vanished, and the object is not there",
		    t->destination.store->conf.name);
	return end == ATTEMPT_MADE ? 0 : -1;
}

/* What is at the destination before the first Complete of this attempt. */
enum look {
	LOOK_FAILED,
	LOOK_FREE, /* Complete may be sent */
	LOOK_OURS, /* an earlier attempt has made the object */
	LOOK_SKIPPED, /* an object is there, and the task leaves it */
};

static enum look
look_taken(struct transfer *t)
{
	return destination_exists(t) == -1 ? LOOK_FAILED : LOOK_SKIPPED;
}

/*
 * Ceph before Squid ignores a condition on Complete, and hours may have passed since the task began
 * and looked.
 */
static enum look
look_once_more(struct transfer *t)
{
	enum proof proof = PROOF_ABSENT;
	bool theirs;

	if (destination_judges_complete(t))
		return LOOK_FREE;
	if (t->destination.doubtful) {
		if (ask_in_doubt(t, &proof) == -1)
			return LOOK_FAILED;
		if (proof == PROOF_ABSENT)
			return LOOK_FREE;
		return proof >= PROOF_MD5 ? LOOK_OURS : look_taken(t);
	}
	if (t->checkpoint.completing) {
		if (look_for_theirs(t, &theirs) == -1)
			return LOOK_FAILED;
		return theirs ? look_taken(t) : LOOK_FREE;
	}
	if (destination_look(t, false) == -1)
		return LOOK_FAILED;
	return t->outcome.skipped ? LOOK_SKIPPED : LOOK_FREE;
}

int
complete_upload(struct transfer *t)
{
	char *body;
	size_t len;
	int rc;

	if (verify_expected(t, verify_crc64(t), &t->failure) == -1)
		return -1;
	switch (look_once_more(t)) {
	case LOOK_FAILED:
		return -1;
	case LOOK_SKIPPED:
		return 0;
	case LOOK_OURS:
		return upload_drop(t) == -1 ? -1 : verify_destination(t);
	case LOOK_FREE:
		break;
	}
	if (checkpoint_intend(t) == -1)
		return -1;
	body = complete_body(t, &len);
	rc = complete(t, body, len);
	free(body);
	if (rc == -1 || t->outcome.skipped)
		return rc;
	return verify_destination(t);
}
