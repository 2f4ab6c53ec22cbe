/*
 * One task being carried, from its row to its result.  transfer.c tells the story in order; the other modules are its steps:
 * checkpoint.c (the database), source.c and opening.c, upload.c, parts.c with pipe.c (the bytes) or copy.c (none), finish.c
 * (completion and verification).
 */
#ifndef WORKER_TRANSFER_H
#define WORKER_TRANSFER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/channel.h"
#include "common/task.h"
#include "worker/failure.h"
#include "worker/file.h"
#include "worker/ring.h"
#include "worker/s3xml.h"
#include "worker/source.h"
#include "worker/store.h"
#include "worker/worker.h"

#define PART_ETAG_SIZE 64

struct pipe;
struct reader;

enum part_state { PART_LEFT, PART_BUSY, PART_DONE };

/* 10,000 of these must fit: what a part is besides follows from its number. */
struct part {
	uint64_t crc64;
	enum part_state state : 8;
	bool has_crc32c : 1;
	uint32_t crc32c; /* where the destination is verified by it */
	char etag[PART_ETAG_SIZE];
	char *long_etag; /* heap, where etag is too small for it */
};

/* Where the bytes go. */
struct target {
	struct store *store;
	bool is_file;
	char bucket[URI_BUCKET_MAX];
	const char *key; /* into the task */
	struct object_info info; /* headers and metadata that the new object gets */
	struct file file;
};

/* The checkpoint as the database has it. */
struct checkpoint {
	bool found;
	bool initiated; /* false: whether there is an upload behind it is not known */
	bool completing;
	bool same_destination;
	bool same_host; /* of a temporary file; true for all else */
	int64_t source_size;
	int64_t part_size;
	char source_etag[S3XML_ETAG_MAX + 16]; /* copy_pin() */
	char spoiled[S3XML_ETAG_MAX]; /* ETag of an object that is not what was sent: spoiled.h; "": none */
	bool spoiled_here; /* at this destination */
	char upload_id[S3XML_UPLOAD_ID_MAX];
};

/* The GET that has pinned the source, until a pipe takes it over; see opening.h. */
struct opening {
	struct reader *reader; /* heap; NULL if there is none */
	struct ring ring;
};

struct transfer {
	struct worker *w;
	const struct task *task;
	struct failure failure;
	int64_t started_at;

	struct source source;
	struct opening opening;
	struct target target;
	struct checkpoint checkpoint;
	enum store_verify verify; /* what it comes to, never VERIFY_AUTO */
	bool verify_auto;

	int64_t size;	/* while streaming: of what has come so far */
	bool streaming; /* the source does not say how much there will be */
	int64_t part_size;
	int nparts; /* 1: one PUT, unless multipart */
	bool multipart;
	bool copying; /* by the store itself: copy.h */
	struct part *parts;
	char upload_id[S3XML_UPLOAD_ID_MAX]; /* "" if none is open */
	int resumed;			     /* parts that were there already */

	struct streams streams;
	int64_t sample_at; /* the next for streams */
	int streams_most;  /* parts that were in flight at once */
	struct pipe **pipes;
	int npipes;
	int next_part; /* no part before it is left */
	int parts_done;
	int64_t bytes_done; /* in finished parts */

	int64_t moved_last; /* for the rate shown */
	int64_t moved_at;
	int64_t rate;

	int puts;      /* of the whole object, begun in this attempt */
	bool doubtful; /* what is at the destination may be what an earlier attempt has put there */
	bool skipped;
	bool rotten;	   /* what is there of the upload is not to be built upon */
	bool spoiled;	   /* an object was made that is not what was sent; its ETag is in etag */
	bool has_server_crc64; /* the single PUT's answer said it, and it was right */
	bool opaque_etags; /* the destination's ETags are no MD5s */
	uint64_t crc64;
	char etag[S3XML_ETAG_MAX];
	const char *verified_by;
};

/* Carries w->task to its end, and settles it unless it is done.  Fills in what the master is told, to settle that. */
void transfer_run(struct worker *w, struct msg_result *result);

void transfer_log_start(const struct transfer *t);

/* Where it is, for the master and the title. */
void transfer_progress(struct transfer *t, int64_t now, struct msg_progress *progress);

/* A store that copies may not say what. */
static inline bool
transfer_knows_crc64(const struct transfer *t)
{
	return !t->skipped && (!t->copying || t->source.info.has_crc64);
}

/* Offset and size of part number (1 …). */
int64_t transfer_part_offset(const struct transfer *t, int number);
int64_t transfer_part_size(const struct transfer *t, int number);

#endif
