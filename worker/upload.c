/*
 * Uploads.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "worker/checkpoint.h"
#include "worker/copy.h"
#include "worker/finish.h"
#include "worker/parts.h"
#include "worker/target.h"
#include "worker/upload.h"

#define UPLOAD_ABORT_MS 15000

int
upload_abort_now(struct transfer *t, const char *upload_id, int64_t deadline)
{
	struct http_request r;
	struct failure f;
	int rc;

	failure_init(&f);
	if (t->target.is_file) {
		strlcpy(t->target.file.temp, upload_id, sizeof(t->target.file.temp));
		rc = file_abort(&t->target.file, &f);
	} else {
		target_prepare(t, &r, OP_ABORT);
		r.call.upload_id = upload_id;
		rc = http_insist(t->w, &r, deadline, &f);
		if (rc == -1 && r.status == 404)
			rc = 0;
		http_release(&r);
	}
	if (rc == -1)
		log_warn("task %" PRId64 ": its upload could not be aborted now: %s", t->task->id, f.text);
	return rc;
}

int
upload_drop(struct transfer *t)
{
	char id[S3XML_UPLOAD_ID_MAX];
	const struct checkpoint *c = &t->checkpoint;
	bool here = !c->found || (c->initiated && c->same_destination && c->same_host);

	strlcpy(id, t->upload_id[0] != '\0' ? t->upload_id : c->found ? c->upload_id : "", sizeof(id));
	t->upload_id[0] = '\0';
	t->checkpoint.found = false;
	if (id[0] == '\0')
		return 0;
	if (checkpoint_abandon(t, id) == -1)
		return -1;
	/* one for another destination, a file of another host, one of unknown id: the reaper's, who goes by its row */
	if (!here || upload_abort_now(t, id, clock_ms() + UPLOAD_ABORT_MS) == -1)
		return 0;
	return checkpoint_forget(t, id);
}

/* *begun: there is an upload by now, or may be. */
static int
upload_initiate(struct transfer *t, bool *begun)
{
	struct http_request r;
	int rc;

	target_prepare(t, &r, OP_INITIATE);
	r.call.info = &t->target.info;
	r.call.storage_class = t->task->storage_class;
	rc = http_call(t->w, &r, &t->failure);
	*begun = !http_did_nothing(&r);
	if (rc == 0 && (r.xml.root != S3XML_INITIATE || r.xml.upload_id[0] == '\0'))
		rc = http_failure(&r, &t->failure, CLASS_TRANSIENT, "the answer names no upload");
	if (rc == 0)
		strlcpy(t->upload_id, r.xml.upload_id, sizeof(t->upload_id));
	http_release(&r);
	return rc;
}

static int
upload_begin_object(struct transfer *t)
{
	char intent[48];
	bool begun;

	snprintf(intent, sizeof(intent), "intent of claim %" PRId64, t->task->claim);
	if (checkpoint_begin(t, intent, false) == -1)
		return -1;
	if (upload_initiate(t, &begun) == 0)
		return checkpoint_initiated(t, intent);
	/* what may have been begun is left for the reaper to find */
	if (!begun) {
		struct failure told = t->failure;

		if (checkpoint_forget(t, intent) == 0)
			t->failure = told;
	}
	return -1;
}

static int
upload_begin_file(struct transfer *t)
{
	file_name_temp(&t->target.file, t->task->id, t->task->claim);
	strlcpy(t->upload_id, t->target.file.temp, sizeof(t->upload_id));
	if (checkpoint_begin(t, t->upload_id, true) == -1)
		return -1;
	return file_create_temp(&t->target.file, &t->failure);
}

int
upload_begin(struct transfer *t)
{
	if (t->target.is_file)
		return upload_begin_file(t);
	return t->multipart ? upload_begin_object(t) : 0;
}

/* A part of the table: kept in mind; what it is worth, ListParts says. */
static void
upload_visit_part(struct transfer *t, int number, int64_t size, uint64_t crc64, const char *etag)
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

static void
upload_match_part(struct transfer *t, const struct s3xml_part *listed)
{
	struct part *part;

	if (listed->number < 1 || listed->number > t->nparts)
		return;
	part = &t->parts[listed->number - 1];
	if (part->state != PART_BUSY || listed->size != transfer_part_size(t, listed->number) ||
	    strcmp(listed->etag, part->etag) != 0 || (t->verify == VERIFY_CRC32C && !listed->has_crc32c))
		return;
	parts_take(t, listed->number, part->crc64, listed->etag);
	/* it was held against what was sent before the part became a row, which the ETag says it still is */
	if (t->verify == VERIFY_CRC32C)
		parts_take_crc32c(t, listed->number, listed->crc32c);
	t->resumed++;
}

/*
 * An upload is with CRC32C or without from its beginning on: one from before the store's verify was changed takes no part of
 * the other kind.
 */
static bool
upload_sums_fit(const struct transfer *t, const struct s3xml *list)
{
	bool full = list->checksum_type[0] == '\0' || strcmp(list->checksum_type, "FULL_OBJECT") == 0;

	return (t->verify == VERIFY_CRC32C) == (full && strcmp(list->checksum_algorithm, "CRC32C") == 0);
}

/* What became of the upload that a checkpoint names. */
enum upload_fate { UPLOAD_THERE, UPLOAD_GONE, UPLOAD_UNFIT };

/* Returns 1 if there is a next page, 0 at the end, -1. */
static int
upload_list_page(struct transfer *t, int *marker, enum upload_fate *fate)
{
	struct http_request r;
	int i, rc;

	target_prepare(t, &r, OP_LIST_PARTS);
	r.call.upload_id = t->upload_id;
	r.call.part_marker = *marker;
	rc = http_call(t->w, &r, &t->failure);
	/* RGW may answer 500 to an id that it does not know, again and again */
	*fate = rc == -1 && (r.status == 404 || r.status == 500) ? UPLOAD_GONE : UPLOAD_THERE;
	if (rc == 0 && r.xml.root != S3XML_LIST_PARTS)
		rc = http_failure(&r, &t->failure, CLASS_TRANSIENT, "the answer is no list of parts");
	if (rc == 0 && !upload_sums_fit(t, &r.xml)) {
		*fate = UPLOAD_UNFIT;
	} else if (rc == 0) {
		for (i = 0; i < r.xml.nparts; i++)
			upload_match_part(t, &r.xml.parts[i]);
		rc = r.xml.truncated && r.xml.next_marker > *marker ? 1 : 0;
		*marker = r.xml.next_marker;
	}
	http_release(&r);
	return rc;
}

static int
upload_list(struct transfer *t, enum upload_fate *fate)
{
	int marker = 0, rc;

	do
		rc = upload_list_page(t, &marker, fate);
	while (rc == 1);
	if (*fate == UPLOAD_GONE)
		failure_init(&t->failure);
	return *fate == UPLOAD_GONE ? 0 : rc;
}

static int
upload_take_file(struct transfer *t, enum upload_fate *fate)
{
	int i, rc = file_resume_temp(&t->target.file, t->upload_id, &t->failure);

	*fate = rc == 1 ? UPLOAD_GONE : UPLOAD_THERE;
	for (i = 1; rc == 0 && i <= t->nparts; i++) {
		if (t->parts[i - 1].state != PART_BUSY)
			continue;
		parts_take(t, i, t->parts[i - 1].crc64, "");
		t->resumed++;
	}
	return rc == -1 ? -1 : 0;
}

/* Whoever was only in the table is to be sent again. */
static void
upload_settle_parts(struct transfer *t)
{
	int i;

	for (i = 0; i < t->nparts; i++) {
		if (t->parts[i].state == PART_BUSY)
			t->parts[i].state = PART_LEFT;
	}
}

static bool
upload_is_good(const struct transfer *t)
{
	const struct checkpoint *c = &t->checkpoint;
	const struct store_limits *limits = store_limits(t->target.store->conf.kind);
	char pin[COPY_PIN_SIZE];

	return c->found && c->initiated && c->same_destination &&
	    c->source_size == t->size && strcmp(c->source_etag, copy_pin(t, pin)) == 0 && c->part_size > 0 &&
	    (t->size == 0 || (t->size - 1) / c->part_size < limits->parts_max);
}

/* Returns 0, with the upload taken up if t->upload_id is set. */
static int
upload_resume(struct transfer *t, bool *completed)
{
	enum upload_fate fate = UPLOAD_THERE;
	int rc;

	strlcpy(t->upload_id, t->checkpoint.upload_id, sizeof(t->upload_id));
	t->part_size = t->checkpoint.part_size;
	t->multipart = true;
	parts_lay_out(t);
	if (checkpoint_load_parts(t, upload_visit_part) == -1)
		return -1;
	rc = t->target.is_file ? upload_take_file(t, &fate) : upload_list(t, &fate);
	if (rc == -1)
		return -1;
	if (fate == UPLOAD_GONE && t->checkpoint.completing) {
		rc = finish_was_completed(t, completed);
		if (rc == -1 || *completed)
			return rc;
	}
	upload_settle_parts(t);
	if (fate == UPLOAD_THERE)
		return 0;
	log_info("task %" PRId64 ": the upload that was begun is %s; begun anew", t->task->id,
	    fate == UPLOAD_GONE ? "gone" : "of no use (the store's verify was changed)");
	t->resumed = 0;
	return upload_drop(t) == -1 ? -1 : parts_plan(t);
}

int
upload_open(struct transfer *t, bool *completed)
{
	*completed = false;
	if (upload_is_good(t)) {
		if (upload_resume(t, completed) == -1)
			return -1;
	} else if (t->checkpoint.found) {
		log_info("task %" PRId64 ": the upload that was begun is of no use (%s)", t->task->id,
		    t->checkpoint.initiated ? "source or destination changed" : "its id is not known");
		if (upload_drop(t) == -1)
			return -1;
	}
	if (*completed || t->upload_id[0] != '\0')
		return 0;
	return upload_begin(t);
}
