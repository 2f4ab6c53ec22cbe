#include "worker/transfer/destination.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/uri.h"
#include "worker/store/fit.h"
#include "worker/session/session.h"
#include "worker/http/answer.h"
#include "worker/http/request.h"
#include "worker/event/call.h"

static int
choose_verify(struct destination *d, struct failure *f)
{
	const struct config_store *conf = &d->store->conf;
	bool s3 = conf->kind == STORE_S3;

	d->verify = conf->verify;
	d->verify_auto = conf->verify == VERIFY_AUTO;
	if (d->verify_auto)
		d->verify = s3 ? VERIFY_MD5 : VERIFY_CRC64;
	if (s3 ? d->verify == VERIFY_CRC64 : d->verify == VERIFY_MD5 || d->verify == VERIFY_CRC32C)
		return failure_set(f, CLASS_PERMANENT, "store %s (%s) cannot verify by %s",
		    conf->name, store_kind_name(conf->kind), store_verify_name(d->verify));
	return 0;
}

int
destination_init(struct transfer *t)
{
	struct destination *destination = &t->destination;
	struct uri uri;
	char why[256];

	file_init(&destination->file);
	object_info_init(&destination->info);
	if (uri_parse(&uri, t->task->destination, why, sizeof(why)) == -1)
		return failure_set(&t->failure, CLASS_PERMANENT, "destination: %s", why);
	if (uri.is_url)
		return failure_set(&t->failure, CLASS_PERMANENT,
		    "destination: a URL is a source only; name a store");
	destination->store = session_store(t->w, uri.store);
	if (destination->store == NULL)
		return session_lacks_store(&t->failure, "destination", uri.store);
	if (choose_verify(destination, &t->failure) == -1)
		return -1;
	if (destination->store->conf.kind == STORE_FILE) {
		destination->key = uri.path;
		return 0;
	}
	if (uri_split_bucket(&uri, destination->bucket, &destination->key, why, sizeof(why)) ==
		-1 ||
	    store_check_name(&destination->store->conf, destination->bucket, destination->key, why,
		sizeof(why)) == -1)
		return failure_set(&t->failure, CLASS_PERMANENT, "destination: %s", why);
	return 0;
}

struct object_name
destination_name(const struct transfer *t)
{
	return (struct object_name){ .store = t->destination.store,
		.bucket = t->destination.bucket,
		.key = t->destination.key };
}

void
destination_prepare(const struct transfer *t, struct http_request *r, enum store_op op)
{
	struct object_name name = destination_name(t);

	object_prepare(&name, r, op);
	r->call.crc32c = t->destination.verify == VERIFY_CRC32C;
}

bool
destination_asks(const struct transfer *t)
{
	return t->destination.verify != VERIFY_NONE || t->destination.unclear ||
	       t->task->if_exists != IF_EXISTS_OVERWRITE;
}

int
destination_check_encrypted(
    const struct transfer *t, const struct http_request *r, struct failure *f)
{
	const struct config_store *conf = &t->destination.store->conf;

	if (conf->encryption == ENCRYPTION_NONE || r->info.encrypted)
		return 0;
	return http_failure(r, f, CLASS_PERMANENT,
	    "the answer does not say that the object is encrypted, as encryption = \"%s\" of the "
	    "store asks: the server seems not to encrypt",
	    store_encryption_name(conf->encryption));
}

int
destination_exists(struct transfer *t)
{
	if (t->task->if_exists == IF_EXISTS_SKIP) {
		t->outcome.skipped = true;
		t->outcome.verified_by = "skipped";
		failure_init(&t->failure);
		return 0;
	}
	return failure_set(&t->failure, CLASS_PERMANENT, "destination exists");
}

int
destination_meet(struct transfer *t)
{
	/*
	 * This may be an earlier PUT of ours, finished late or with its answer lost.  The next
	 * attempt looks first and compares.
	 */
	if (t->puts > 1 || task_is_again(t->task))
		return failure_set(&t->failure, CLASS_TRANSIENT,
		    "destination exists, and may be what an earlier PUT without an answer has "
		    "made");
	return destination_exists(t);
}

bool
destination_is_taken(const struct transfer *t, const struct failure *f)
{
	if (t->task->if_exists == IF_EXISTS_OVERWRITE)
		return false;
	return f->status == 412 || strcmp(f->code, "FileAlreadyExists") == 0 ||
	       strcmp(f->code, "PreconditionFailed") == 0;
}

bool
destination_lacks_condition(struct transfer *t, enum store_op op)
{
	struct store *store = t->destination.store;
	bool *lacks = op == OP_PUT ? &store->put_lacks_condition : &store->complete_lacks_condition;

	if (t->task->if_exists == IF_EXISTS_OVERWRITE || t->failure.status != 501 || *lacks)
		return false;
	*lacks = true;
	log_info("store %s does not know the condition of a %s that no object is there (HTTP 501): "
		 "this worker %s, where if_exists is \"fail\" or \"skip\"",
	    store->conf.name, op == OP_PUT ? "PUT" : "Complete",
	    op == OP_PUT ? "makes each object by an upload, whose Complete has the condition"
			 : "looks right before Complete, and an object that appears in between is "
			   "replaced");
	failure_init(&t->failure);
	return true;
}

bool
destination_wants_upload(const struct transfer *t)
{
	return t->task->if_exists != IF_EXISTS_OVERWRITE && !transfer_to_file(t) &&
	       t->destination.store->put_lacks_condition;
}

bool
destination_judges_complete(const struct transfer *t)
{
	const struct store *store = t->destination.store;

	return store->conf.kind != STORE_S3 && !store->complete_lacks_condition;
}

static int
look_file(struct transfer *t, bool *there)
{
	enum file_found found;

	if (file_open_dir(&t->destination.file, &t->destination.store->conf, t->destination.key,
		true, &t->failure) == -1)
		return -1;
	found = file_look(&t->destination.file, &t->failure);
	*there = found == FILE_FOUND;
	return found == FILE_FAILED ? -1 : 0;
}

/*
 * The object may be an earlier attempt's single PUT, whose worker died before it could report it.
 * (An upload would have left a row.)  If the size is right, the bytes are sent again, as an upload,
 * and the object is held against their checksums before the upload is completed.  The earlier
 * attempt may have had another part_size.  An ETag with a dash is that of an upload.
 */
static bool
is_doubtful(const struct transfer *t, const struct object_info *info)
{
	return task_is_again(t->task) && t->size > 0 && info->size == t->size &&
	       strchr(info->etag, '-') == NULL &&
	       t->size <= store_limits(t->destination.store->conf.kind)->part_max;
}

static int
look_object(struct transfer *t, bool *there)
{
	struct http_request r;
	int rc;

	destination_prepare(t, &r, OP_HEAD);
	rc = call_repeat(t->w, &r, &t->failure);
	t->destination.doubtful = rc == 0 && is_doubtful(t, &r.info);
	*there = rc == 0 && !t->destination.doubtful;
	if (rc == -1 && http_says_absent(&r)) {
		failure_init(&t->failure);
		rc = 0;
	}
	http_release(&r);
	return rc;
}

int
destination_look(struct transfer *t, bool maybe_ours)
{
	bool asks = t->task->if_exists != IF_EXISTS_OVERWRITE && !maybe_ours;
	bool there = false;

	if (transfer_to_file(t)) {
		if (look_file(t, &there) == -1)
			return -1;
	} else if (asks && look_object(t, &there) == -1) {
		return -1;
	}
	return there && asks ? destination_exists(t) : 0;
}

void
destination_describe(struct transfer *t)
{
	struct object_info *info = &t->destination.info;

	if (transfer_to_file(t))
		return;
	object_info_copy(info, &t->source.info);
	if (t->task->content_type[0] != '\0')
		store_set_content_type(info, t->task->content_type);
	if (t->task->metadata[0] != '\0')
		store_set_metadata(info, t->task->metadata);
	store_fit(&t->destination.store->conf, info);
}

int
destination_admit(struct transfer *t)
{
	const struct config_store *conf = &t->destination.store->conf;
	char *warning = t->outcome.warning, list[300];

	if (warning[0] != '\0' || store_losses(&t->destination.info, list, sizeof(list)) == 0)
		return 0;
	if (conf->metadata_loss == LOSS_FAIL)
		return failure_set(&t->failure, CLASS_PERMANENT,
		    "%s: the new object cannot get %s: change the source or the row, or leave it "
		    "out by metadata_loss = \"warn\" of the store",
		    conf->name, list);
	snprintf(warning, sizeof(t->outcome.warning), "not carried: %s", list);
	task_log(t->task, LOG_WARNING, ": %s", warning);
	return 0;
}

void
destination_release(struct transfer *t)
{
	object_info_release(&t->destination.info);
	file_release(&t->destination.file);
}
