/*
 * What is known of the task in work: its two ends, its checkpoint, the way that its bytes take, and
 * what has become of them.  task/carry.c tells the story; the files here and in task/ are its
 * steps, and each names the fields that it writes.
 */
#ifndef WORKER_TRANSFER_TRANSFER_H
#define WORKER_TRANSFER_TRANSFER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/task.h"
#include "worker/base/failure.h"
#include "worker/base/parallel.h"
#include "worker/base/ring.h"
#include "worker/store/store.h"
#include "worker/store/xml.h"
#include "worker/endpoint/file.h"
#include "worker/endpoint/source.h"
#include "worker/worker.h"

#define PART_ETAG_SIZE 64

struct pipe;
struct reader;

/* How the object is made.  plan.c decides. */
enum way {
	WAY_UNDECIDED,
	WAY_PUT, /* one PUT */
	WAY_PARTS, /* a multipart upload */
	WAY_COPY, /* the store copies the whole object */
	WAY_COPY_PARTS, /* a multipart upload whose parts the store copies */
	WAY_UNSIZED, /* parts, until the end of a source that does not say its size */
	WAY_FILE, /* a temporary file that gets its name at the end; its parts are checkpoints */
};

enum part_state { PART_LEFT, PART_BUSY, PART_DONE };

/* Kept small, since there may be 10,000.  Offset and size follow from the number. */
struct part {
	uint64_t crc64; /* 0: a copied part has none */
	enum part_state state : 8;
	bool has_crc32c : 1; /* the destination is verified by CRC32C */
	uint32_t crc32c;
	char etag[PART_ETAG_SIZE];
	char *long_etag; /* heap; instead of etag if etag is too small */
};

/* Where the bytes go.  destination.c. */
struct destination {
	/* What the task names. */
	struct store *store;
	char bucket[URI_BUCKET_MAX];
	const char *key; /* into the task; of a file: the path */

	/* How the object is verified. */
	enum store_verify verify; /* never VERIFY_AUTO */
	bool verify_auto; /* the configuration left the choice to us */

	/* What was found there. */
	bool doubtful; /* the object there may be an earlier attempt's own single PUT */
	bool opaque_etags; /* an answer's ETag was no MD5 */
	bool unlike; /* the answer to the single PUT had another ETag than the MD5 of what was sent
		      */
	bool encrypts; /* the upload is encrypted so that its ETags may be no MD5s */
	bool unlisted; /* ListParts was refused: the parts are those of the table */
	bool unclear; /* Complete succeeded by an answer without ETag: a look decides */

	/* What the new object is made of. */
	struct object_info info; /* its headers and metadata */
	struct file file;
};

#define CHECKPOINT_PIN_SIZE (PIN_TEXT_MAX + 16)

/* The checkpoint as the database has it.  checkpoint.c. */
struct checkpoint {
	/* The upload that was begun. */
	bool found;
	bool initiated; /* false: Initiate was about to be sent; upload_id is a stand-in */
	bool completing; /* Complete was about to be sent */
	bool same_destination;
	bool same_host; /* a temporary file is of this host; true for an upload */
	int64_t part_size; /* bytes */
	char upload_id[S3XML_UPLOAD_ID_MAX];

	/* What earlier attempts of the task had at most in finished parts. */
	int64_t gained; /* bytes */

	/* The source that it was begun for. */
	int64_t source_size; /* bytes */
	char source_etag[CHECKPOINT_PIN_SIZE]; /* its pin, and whether the store copies */

	/* An object that is not what was sent: spoiled.h. */
	char spoiled[S3XML_ETAG_MAX]; /* its ETag; "": there is none */
	bool spoiled_here; /* it is at this destination */
};

/* The GET that has pinned the source, until a pipe takes it over.  task/opening.c. */
struct opening {
	struct reader *reader; /* heap; NULL: there is none */
	struct ring ring;
};

/* What has become of the object. */
struct outcome {
	/* Nothing was made: if_exists = skip. */
	bool skipped;

	/* What was made must not be used. */
	bool spoiled; /* the object; etag is its ETag */
	bool rotten; /* the upload: it must not be resumed */

	/* The object. */
	uint64_t crc64;
	char etag[S3XML_ETAG_MAX];
	char made[S3XML_ETAG_MAX]; /* as the answer to Complete said it; "": it did not */
	bool has_server_crc64; /* the answer to the single PUT had the CRC64 that was sent */
	const char *verified_by; /* NULL: not verified */
	char warning[TASK_ERROR_MAX]; /* what of its headers and metadata was not carried */
};

struct transfer {
	struct worker *w;
	const struct task *task;
	struct failure failure; /* why the step in hand failed */
	struct outcome outcome;

	/* The two ends, and what an earlier attempt has left. */
	struct source source;
	struct opening opening;
	struct destination destination;
	struct checkpoint checkpoint;

	/* What the stores have shown to this attempt; by enum task_end. */
	bool served[TASK_ENDS];
	bool serves[TASK_ENDS]; /* since the last report to the master */

	/* The plan: plan.c. */
	enum way way;
	int64_t size; /* bytes; -1: not known; WAY_UNSIZED: those that have come so far */
	int64_t part_size; /* bytes */
	bool larger_parts; /* it was begun anew with larger parts: limits.h */

	/* The upload: upload.c. */
	char upload_id[S3XML_UPLOAD_ID_MAX]; /* "": none is open */

	/* The table of parts: parts.c. */
	int nparts; /* 1: the whole, unless transfer_has_parts() */
	struct part *parts;
	int next_part; /* no part before this one is left */
	int parts_done;
	int64_t bytes_done; /* in parts that are done */
	int resumed; /* parts that an earlier attempt had done */

	/* The parts in flight: task/move.c. */
	struct parallel parallel; /* how many may be */
	int64_t sample_at; /* next sample for parallel, on clock_ms() */
	int most_in_flight; /* the most parts at once */
	struct pipe **pipes;
	int npipes;
	int puts; /* PUTs begun in this attempt */
	int damaged; /* of which the destination got other bytes than were sent */

	/* The rate of the minute in course: task/bounds.c. */
	int64_t pace_at; /* when it ends, on clock_ms(); 0: none has begun */
	int64_t pace_moved; /* bytes when it began */

	/* Progress: task/carry.c. */
	int64_t started_at; /* clock_ms() */
	int64_t moved_last; /* bytes at the last report */
	int64_t moved_at; /* time of the last report, on clock_ms() */
	int64_t rate; /* bytes a second between the last two reports */
};

/* Logs that the task has started, and how. */
void transfer_log_start(const struct transfer *t);

/* Offset and size of part number (1 ...), in bytes. */
int64_t transfer_part_offset(const struct transfer *t, int number);
int64_t transfer_part_size(const struct transfer *t, int number);

/* True if the object is made of numbered parts that are checkpoints. */
static inline bool
transfer_has_parts(const struct transfer *t)
{
	return t->way == WAY_PARTS || t->way == WAY_COPY_PARTS || t->way == WAY_UNSIZED ||
	       t->way == WAY_FILE;
}

/* True if the store copies, and no byte passes here. */
static inline bool
transfer_is_copy(const struct transfer *t)
{
	return t->way == WAY_COPY || t->way == WAY_COPY_PARTS;
}

/* True if the destination is a file, whatever way is planned. */
static inline bool
transfer_to_file(const struct transfer *t)
{
	return t->destination.store != NULL && t->destination.store->conf.kind == STORE_FILE;
}

/* The size of the whole source in bytes; -1 while it is not known. */
static inline int64_t
transfer_total(const struct transfer *t)
{
	return t->way == WAY_UNSIZED ? -1 : t->size;
}

/* True if the CRC64 of the object is known: a store that copies may not say it. */
static inline bool
transfer_knows_crc64(const struct transfer *t)
{
	return !t->outcome.skipped && (!transfer_is_copy(t) || t->source.info.has_crc64);
}

#endif
