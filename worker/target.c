/*
 * The destination.
 */
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/uri.h"
#include "worker/parts.h"
#include "worker/session.h"
#include "worker/target.h"

static int
target_choose_verify(struct transfer *t)
{
	const struct config_store *conf = &t->target.store->conf;
	bool s3 = conf->kind == STORE_S3;

	t->verify = conf->verify;
	t->verify_auto = conf->verify == VERIFY_AUTO;
	if (t->verify_auto)
		t->verify = s3 ? VERIFY_MD5 : VERIFY_CRC64;
	if (s3 ? t->verify == VERIFY_CRC64 : t->verify == VERIFY_MD5 || t->verify == VERIFY_CRC32C)
		return failure_set(&t->failure, CLASS_PERMANENT, "store %s (%s) cannot verify by %s", conf->name,
		    store_kind_name(conf->kind), store_verify_name(t->verify));
	return 0;
}

int
target_init(struct transfer *t)
{
	struct target *target = &t->target;
	struct uri uri;
	char why[256];

	file_init(&target->file);
	object_info_init(&target->info);
	if (uri_parse(&uri, t->task->destination, why, sizeof(why)) == -1)
		return failure_set(&t->failure, CLASS_PERMANENT, "destination: %s", why);
	if (uri.is_url)
		return failure_set(&t->failure, CLASS_PERMANENT, "destination: a URL is a source only; name a store");
	target->store = session_store(t->w, uri.store);
	if (target->store == NULL)
		return failure_set(&t->failure, CLASS_PERMANENT,
		    "destination: there is no store \"%s\" in the configuration", uri.store);
	if (target_choose_verify(t) == -1)
		return -1;
	if (target->store->conf.kind == STORE_FILE) {
		target->is_file = true;
		target->key = uri.path;
		return 0;
	}
	if (uri_split_bucket(&uri, target->bucket, sizeof(target->bucket), &target->key, why, sizeof(why)) == -1 ||
	    store_check_name(&target->store->conf, target->bucket, target->key, why, sizeof(why)) == -1)
		return failure_set(&t->failure, CLASS_PERMANENT, "destination: %s", why);
	return 0;
}

void
target_prepare(struct transfer *t, struct http_request *r, enum store_op op)
{
	http_prepare(r, t->target.store, op);
	r->call.bucket = t->target.bucket;
	r->call.key = t->target.key;
	r->call.crc32c = t->verify == VERIFY_CRC32C;
}

int
target_exists(struct transfer *t)
{
	if (t->task->if_exists == IF_EXISTS_SKIP) {
		t->skipped = true;
		t->verified_by = "skipped";
		failure_init(&t->failure);
		return 0;
	}
	return failure_set(&t->failure, CLASS_PERMANENT, "destination exists");
}

int
target_meet(struct transfer *t)
{
	/*
	 * An earlier PUT of ours, perhaps, whose answer was lost, or that of a worker that died, which the store took its time for: the next
	 * attempt finds it when it looks, and compares.
	 */
	if (t->puts > 1 || t->task->claim > 1)
		return failure_set(&t->failure, CLASS_TRANSIENT,
		    "destination exists, and may be what an earlier PUT without an answer has made");
	return target_exists(t);
}

bool
target_is_taken(const struct transfer *t, const struct failure *f)
{
	if (t->task->if_exists == IF_EXISTS_OVERWRITE)
		return false;
	return f->status == 412 || strcmp(f->code, "FileAlreadyExists") == 0 || strcmp(f->code, "PreconditionFailed") == 0;
}

static int
target_look_file(struct transfer *t, bool *there)
{
	int64_t size;
	int rc;

	if (file_open_dir(&t->target.file, &t->target.store->conf, t->target.key, true, &t->failure) == -1)
		return -1;
	rc = file_stat_target(&t->target.file, &size, &t->failure);
	*there = rc == 1;
	return rc == -1 ? -1 : 0;
}

/*
 * What is there may be an earlier attempt's own, by one PUT, which died before it could say so; one of parts has a row that says so.
 * If the size is right it is sent again, and what is there is held against the sums of all that was sent.  The attempt may have been
 * made with another part_size.  An ETag with a dash is that of parts.
 */
static bool
target_is_doubtful(const struct transfer *t, const struct object_info *info)
{
	return t->task->claim > 1 && t->size > 0 && info->size == t->size && strchr(info->etag, '-') == NULL &&
	    t->size <= store_limits(t->target.store->conf.kind)->part_max;
}

static int
target_look_object(struct transfer *t, bool *there)
{
	struct http_request r;
	int rc;

	target_prepare(t, &r, OP_HEAD);
	rc = http_call(t->w, &r, &t->failure);
	t->doubtful = rc == 0 && target_is_doubtful(t, &r.info);
	*there = rc == 0 && !t->doubtful;
	if (rc == -1 && r.status == 404) {
		failure_init(&t->failure);
		rc = 0;
	}
	http_release(&r);
	return rc;
}

int
target_look(struct transfer *t, bool maybe_ours)
{
	bool asks = t->task->if_exists != IF_EXISTS_OVERWRITE && !maybe_ours;
	bool there = false;

	if (t->target.is_file && target_look_file(t, &there) == -1)
		return -1;
	if (!t->target.is_file && asks && target_look_object(t, &there) == -1)
		return -1;
	return there && asks ? target_exists(t) : 0;
}

void
target_describe(struct transfer *t)
{
	struct object_info *info = &t->target.info;

	object_info_copy(info, &t->source.info);
	if (t->task->content_type[0] != '\0')
		strlcpy(info->content_type, t->task->content_type, sizeof(info->content_type));
	if (t->task->metadata[0] != '\0')
		strlcpy(info->metadata, t->task->metadata, sizeof(info->metadata));
}
