#include "worker/transfer/upload.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "worker/http/request.h"
#include "worker/event/call.h"
#include "worker/event/query.h"
#include "worker/transfer/checkpoint.h"
#include "worker/transfer/destination.h"

#define ABORT_MS 15000

static int
abort_file(struct transfer *t, const char *temp, struct failure *f)
{
	struct destination *d = &t->destination;

	/* a task may end before it has looked at its destination */
	if (d->file.dir == -1 && file_open_dir(&d->file, &d->store->conf, d->key, false, f) == -1)
		return -1;
	strlcpy(d->file.temp, temp, sizeof(d->file.temp));
	return file_abort(&d->file, f);
}

int
upload_abort_now(struct transfer *t, const char *upload_id, int64_t deadline)
{
	struct http_request r;
	struct failure f;
	int rc;

	failure_init(&f);
	if (transfer_to_file(t)) {
		rc = abort_file(t, upload_id, &f);
	} else {
		destination_prepare(t, &r, OP_ABORT);
		r.call.upload_id = upload_id;
		rc = call_insist(t->w, &r, deadline, &f);
		if (rc == -1 && http_says_absent(&r))
			rc = 0;
		http_release(&r);
	}
	if (rc == -1)
		task_log(t->task, LOG_WARNING, ": its upload cannot be aborted now: %s", f.text);
	return rc;
}

static const struct db_stmt stmt_left = { "upload_left", "SELECT pg_notify('ferry_reap', 'soon')",
	0 };

/* An abandoned upload is left to the reaper.  Without the wake-up the reaper comes later. */
static void
wake_reaper(struct transfer *t)
{
	struct failure f;
	struct query q;

	failure_init(&f);
	query_init(&q, &stmt_left);
	query_wait(t->w, &q, NULL, NULL, &f);
}

int
upload_drop(struct transfer *t)
{
	char id[S3XML_UPLOAD_ID_MAX];
	const struct checkpoint *c = &t->checkpoint;
	bool here = !c->found || (c->initiated && c->same_destination && c->same_host);

	strlcpy(id,
	    t->upload_id[0] != '\0' ? t->upload_id
	    : c->found              ? c->upload_id
				    : "",
	    sizeof(id));
	if (id[0] != '\0' && checkpoint_abandon(t, id) == -1)
		return -1;
	t->upload_id[0] = '\0';
	t->checkpoint.found = false;
	if (id[0] == '\0')
		return 0;
	/*
	 * the reaper aborts, by the row, an upload at another destination, a file of another host
	 * and an upload whose id is not known
	 */
	if (here && upload_abort_now(t, id, clock_ms() + ABORT_MS) == 0)
		return checkpoint_forget(t, id);
	wake_reaper(t);
	return 0;
}

/*
 * *begun says that an upload exists by now, or may; *encrypted, that it is encrypted if the
 * configuration asks for it, else *f says why not.
 */
static int
initiate(struct transfer *t, bool *begun, bool *encrypted, struct failure *f)
{
	struct http_request r;
	int rc;

	destination_prepare(t, &r, OP_INITIATE);
	r.call.info = &t->destination.info;
	r.call.storage_class = t->task->storage_class;
	rc = call_repeat(t->w, &r, &t->failure);
	*begun = !http_did_nothing(&r);
	if (rc == 0) {
		strlcpy(t->upload_id, r.xml.upload_id, sizeof(t->upload_id));
		t->destination.encrypts = r.info.opaque_etag;
		*encrypted = destination_check_encrypted(t, &r, f) == 0;
	}
	http_release(&r);
	return rc;
}

static int
begin_object(struct transfer *t)
{
	char stand_in[CHECKPOINT_STAND_IN_SIZE];
	bool begun, encrypted = false;
	struct failure f;

	if (checkpoint_begin(t, checkpoint_stand_in(t, stand_in), false) == -1)
		return -1;
	failure_init(&f);
	if (initiate(t, &begun, &encrypted, &f) == 0) {
		if (checkpoint_initiated(t, stand_in) == -1)
			return -1;
		if (encrypted)
			return 0;
		t->failure = f;
		return -1;
	}
	/* else the row stays, and the reaper looks for the upload */
	if (!begun) {
		struct failure told = t->failure;

		if (checkpoint_forget(t, stand_in) == 0)
			t->failure = told;
	}
	return -1;
}

static int
begin_file(struct transfer *t)
{
	file_name_temp(&t->destination.file, t->task->id, t->task->claim);
	strlcpy(t->upload_id, t->destination.file.temp, sizeof(t->upload_id));
	if (checkpoint_begin(t, t->upload_id, true) == -1)
		return -1;
	return file_create_temp(&t->destination.file, &t->failure);
}

int
upload_begin(struct transfer *t)
{
	switch (t->way) {
	case WAY_PARTS:
	case WAY_COPY_PARTS:
		return begin_object(t);
	case WAY_FILE:
		return begin_file(t);
	case WAY_UNSIZED:
		return transfer_to_file(t) ? begin_file(t) : begin_object(t);
	case WAY_UNDECIDED:
	case WAY_PUT:
	case WAY_COPY:
		break;
	}
	return 0;
}
