/*
 * HTTP object stores and their dialects: S3, COS, plain HTTP.  This folder decides what to send for
 * each operation and what an answer means.  It is pure: no I/O, and of libcurl only header lists.
 * worker/http sends.  Of file stores only the limits are here.
 *
 * Protocol sources: AWS S3 API reference; Ceph "S3 API"; COS API documents 436/7749 (PUT), 7746
 * (Initiate), 7750 (Part), 7742 (Complete), 7740 (Abort), 7747 (List Parts), 7736 (List Multipart
 * Uploads), 7745 (HEAD), 10881 (PUT - Copy), 8287 (Upload Part - Copy).
 */
#ifndef WORKER_STORE_STORE_H
#define WORKER_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "common/config/config.h"
#include "worker/store/object_info.h"

enum store_op {
	OP_HEAD,
	OP_GET, /* a range if range_last >= 0 */
	OP_PUT, /* the whole object */
	OP_INITIATE,
	OP_UPLOAD_PART,
	OP_COMPLETE,
	OP_ABORT,
	OP_LIST_PARTS,
	OP_LIST_UPLOADS, /* uploads whose keys begin with call.key */
	OP_DELETE,
	OP_COPY, /* the whole object, from copy_bucket and copy_key of the same store */
	OP_COPY_PART, /* a range of it */
};

/* One operation.  NULL or "" leaves a string out. */
struct store_call {
	enum store_op op;
	time_t now; /* the time to sign by */

	/* the object */
	const char *bucket; /* NULL for URLs */
	const char *key; /* literal; for plain HTTP the whole URL, already encoded */

	/* the upload and its part */
	const char *upload_id;
	int part_number;
	int part_marker; /* LIST_PARTS: the last part of the page before, 0 for the first page */

	/* the source's side: GET, HEAD, COPY, COPY_PART */
	int64_t range_first; /* GET, COPY_PART */
	int64_t range_last; /* -1: the whole object */
	const char *if_match; /* ETag without quotes; a weak one (W/…) is not sent */
	const char *if_unmodified_since; /* GET, HEAD: a Last-Modified; not with If-Match */
	const char *copy_bucket;
	const char *copy_key;

	/* the new object: PUT, INITIATE, COPY */
	const struct object_info *info; /* headers, metadata; NULL: none; COPY: the source's */
	const char *storage_class;

	/*
	 * PUT, COMPLETE: write only if nothing is there (If-None-Match: *,
	 * x-cos-forbid-overwrite: true)
	 */
	bool if_none_match_any;

	/* the body: PUT, UPLOAD_PART, COMPLETE */
	int64_t content_length; /* bytes as they are sent */
	const char *content_md5; /* base64 */

	/*
	 * CRC32C, S3 only.  INITIATE begins an upload with it; HEAD asks for the object's; COMPLETE
	 * states whole_crc32c.  PUT and UPLOAD_PART send it in the trailer of a framed body
	 * (chunked.h) that holds decoded_length bytes of data.
	 */
	bool crc32c;
	int64_t decoded_length;
	uint32_t whole_crc32c;
};

/* True if uploads to a store of that kind are possible. */
bool store_is_writable(enum store_kind kind);

/* No object is larger, wherever it is: sums of sizes, offsets and parts cannot overflow. */
#define STORE_OBJECT_MAX (INT64_C(1) << 60)

struct store_limits {
	int key_max; /* bytes */
	int64_t part_min; /* bytes; the last part may be smaller */
	int64_t part_max; /* bytes */
	int parts_max;
	int64_t object_max; /* bytes */
};
const struct store_limits *store_limits(enum store_kind kind);

/* Checks bucket and key against the store's rules.  Returns 0, or -1 with a sentence in why. */
int store_check_name(const struct config_store *store, const char *bucket, const char *key,
    char *why, size_t why_size);

#endif
