#include "worker/task/resume.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "common/base/log.h"
#include "worker/http/request.h"
#include "worker/store/etag.h"
#include "worker/event/call.h"
#include "worker/transfer/checkpoint.h"
#include "worker/transfer/destination.h"
#include "worker/transfer/finish.h"
#include "worker/transfer/limits.h"
#include "worker/transfer/parts.h"
#include "worker/transfer/upload.h"

/* What has become of the upload that the checkpoint names. */
enum fate {
	FATE_FAILED = -1, /* not known: t->failure or interrupted */
	FATE_THERE,
	FATE_GONE,
	FATE_UNFIT, /* it was begun with other checksums than this attempt verifies by */
	FATE_UNLISTED, /* its parts cannot be listed */
};

/* Marks a part of the table as busy, until the destination confirms it. */
static void
visit_part(struct transfer *t, int number, int64_t size, uint64_t crc64, const char *etag)
{
	struct part *part;

	if (number < 1 || number > t->nparts || size != transfer_part_size(t, number))
		return;
	part = &t->parts[number - 1];
	part->crc64 = crc64;
	part->state = PART_BUSY;
	if (strlcpy(part->etag, etag, sizeof(part->etag)) >= sizeof(part->etag))
		part->state = PART_LEFT;
}

/* Takes a part that the store lists, if the table has the same. */
static void
match_part(struct transfer *t, const struct s3xml_part *listed)
{
	bool wants_crc32c = t->destination.verify == VERIFY_CRC32C;
	struct part *part;

	if (listed->number < 1 || listed->number > t->nparts)
		return;
	part = &t->parts[listed->number - 1];
	if (part->state != PART_BUSY || listed->size != transfer_part_size(t, listed->number) ||
	    !store_etag_is_same(listed->etag, part->etag) || (wants_crc32c && !listed->has_crc32c))
		return;
	parts_take(t, listed->number, part->crc64, store_etag_opaque(listed->etag));
	/* the CRC32C was compared before the part's row was written, and the ETag is the same */
	if (wants_crc32c)
		parts_take_crc32c(t, listed->number, listed->crc32c);
	t->resumed++;
}

/* Amazon states the algorithm of the upload; Ceph 20 states each part's checksum alone. */
static bool
has_crc32c(const struct s3xml *list)
{
	int i;

	if (list->checksum_algorithm[0] != '\0')
		return strcmp(list->checksum_algorithm, "CRC32C") == 0;
	for (i = 0; i < list->nparts; i++)
		if (list->parts[i].has_crc32c)
			return true;
	return false;
}

/*
 * An upload is with CRC32C or without from its beginning on.  An upload that was begun before the
 * store's verify was changed takes no part of the other kind.
 */
static bool
sums_fit(const struct transfer *t, const struct s3xml *list)
{
	bool full =
	    list->checksum_type[0] == '\0' || strcmp(list->checksum_type, "FULL_OBJECT") == 0;

	return (t->destination.verify == VERIFY_CRC32C) == (full && has_crc32c(list));
}

/*
 * A ListParts has failed: what that says of the upload.  A store may not have this operation, or
 * answer another one instead of it; a page of HTML is a proxy's, which may be gone later.
 */
static enum fate
judge_refusal(const struct http_request *r, const struct failure *f)
{
	const char *type = object_info_text(&r->info, INFO_CONTENT_TYPE);

	if (f->class == CLASS_NONE)
		return FATE_FAILED; /* interrupted */
	/* RGW may answer 500 to an id that it does not know, again and again */
	if (http_says_absent(r) || r->status == 500)
		return FATE_GONE;
	if ((r->status == 403 && r->foreign == NULL) ||
	    (r->status >= 400 && f->class == CLASS_PERMANENT))
		return FATE_UNLISTED;
	if (r->status == 200 && r->result == CURLE_OK && strncasecmp(type, "text/html", 9) != 0)
		return FATE_UNLISTED;
	return FATE_FAILED;
}

/* Takes the parts of one page of the list.  *more says that there is another, from *marker on. */
static enum fate
list_page(struct transfer *t, int *marker, bool *more)
{
	struct http_request r;
	enum fate fate;
	int i;

	*more = false;
	destination_prepare(t, &r, OP_LIST_PARTS);
	r.call.upload_id = t->upload_id;
	r.call.part_marker = *marker;
	if (call_repeat(t->w, &r, &t->failure) == -1) {
		fate = judge_refusal(&r, &t->failure);
	} else if (*marker == 0 && !sums_fit(t, &r.xml)) {
		fate = FATE_UNFIT;
	} else {
		for (i = 0; i < r.xml.nparts; i++)
			match_part(t, &r.xml.parts[i]);
		*more = r.xml.truncated && r.xml.next_marker > *marker;
		*marker = r.xml.next_marker;
		fate = FATE_THERE;
	}
	http_release(&r);
	return fate;
}

static enum fate
list_parts(struct transfer *t)
{
	enum fate fate;
	int marker = 0;
	bool more;

	do
		fate = list_page(t, &marker, &more);
	while (more);
	if (fate == FATE_UNLISTED)
		task_log(t->task, LOG_INFO, ": its parts cannot be listed: %s", t->failure.text);
	if (fate == FATE_GONE || fate == FATE_UNLISTED)
		failure_init(&t->failure);
	return fate;
}

/* Takes all parts that the table has. */
static void
take_table(struct transfer *t)
{
	char etag[PART_ETAG_SIZE];
	int i;

	for (i = 1; i <= t->nparts; i++) {
		if (t->parts[i - 1].state != PART_BUSY)
			continue;
		strlcpy(etag, t->parts[i - 1].etag, sizeof(etag));
		parts_take(t, i, t->parts[i - 1].crc64, etag);
		t->resumed++;
	}
}

/*
 * Without a list, the table's parts are taken if the object's checksum proves the whole in the end:
 * Complete names each part's ETag, and a part that is not there makes it fail.  A CRC32C of the
 * whole needs those of the parts, which only the list has.
 */
static enum fate
take_unlisted(struct transfer *t)
{
	enum store_verify verify = t->destination.verify;

	if (verify != VERIFY_CRC64 && verify != VERIFY_MD5)
		return FATE_UNLISTED;
	take_table(t);
	t->destination.unlisted = true;
	return FATE_THERE;
}

/* The table alone says which parts the temporary file has. */
static enum fate
take_file(struct transfer *t)
{
	switch (file_resume_temp(&t->destination.file, t->upload_id, &t->failure)) {
	case FILE_FAILED:
		return FATE_FAILED;
	case FILE_ABSENT:
		return FATE_GONE;
	case FILE_FOUND:
		break;
	}
	take_table(t);
	return FATE_THERE;
}

/* Parts that only the table knows are sent again. */
static void
forget_unconfirmed(struct transfer *t)
{
	int i;

	for (i = 0; i < t->nparts; i++) {
		if (t->parts[i].state == PART_BUSY)
			t->parts[i].state = PART_LEFT;
	}
}

static bool
is_good(const struct transfer *t)
{
	const struct checkpoint *c = &t->checkpoint;
	const struct store *store = t->destination.store;

	return c->found && c->initiated && c->same_destination && checkpoint_is_of_source(t) &&
	       c->part_size > 0 &&
	       (transfer_is_copy(t) || c->part_size <= limits_body_max(store)) &&
	       (t->size == 0 || (t->size - 1) / c->part_size < limits_parts_max(store));
}

/* Why the upload is not resumed: the end of a sentence. */
static const char *
describe(const struct transfer *t, enum fate fate)
{
	if (fate == FATE_GONE)
		return "gone";
	if (fate == FATE_UNLISTED)
		return "of no use (its parts cannot be listed)";
	if (t->destination.verify == VERIFY_CRC32C)
		return "of no use (no part of it has the CRC32C that verify asks for)";
	return "of no use (it was begun with CRC32C, which verify asks for no more)";
}

/* Returns 0, with the upload taken up if t->upload_id is set. */
static int
resume(struct transfer *t, enum plan what, bool *completed)
{
	enum fate fate;

	strlcpy(t->upload_id, t->checkpoint.upload_id, sizeof(t->upload_id));
	if (plan_make(t, PLAN_RESUME) == -1 || checkpoint_load_parts(t, visit_part) == -1)
		return -1;
	fate = t->way == WAY_FILE ? take_file(t) : list_parts(t);
	if (fate == FATE_UNLISTED)
		fate = take_unlisted(t);
	if (fate == FATE_FAILED)
		return -1;
	if (fate == FATE_GONE && t->checkpoint.completing) {
		if (finish_was_completed(t, completed) == -1)
			return -1;
		if (*completed)
			return 0;
	}
	forget_unconfirmed(t);
	if (fate == FATE_THERE)
		return 0;
	task_log(
	    t->task, LOG_INFO, ": the upload that was begun is %s; begun anew", describe(t, fate));
	t->resumed = 0;
	return upload_drop(t) == -1 ? -1 : plan_make(t, what);
}

int
resume_or_begin(struct transfer *t, enum plan what, bool *completed)
{
	*completed = false;
	if (is_good(t)) {
		if (resume(t, what, completed) == -1)
			return -1;
	} else if (t->checkpoint.found) {
		task_log(t->task, LOG_INFO, ": the upload that was begun is of no use (%s)",
		    !t->checkpoint.initiated    ? "its id is not known"
		    : pin_holds(&t->source.pin) ? "source or destination changed"
						: "nothing pins the source");
		if (upload_drop(t) == -1)
			return -1;
	}
	if (*completed || t->upload_id[0] != '\0')
		return 0;
	return upload_begin(t);
}
