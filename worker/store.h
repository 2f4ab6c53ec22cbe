/*
 * An HTTP object store and its dialect (S3, COS, plain HTTP): what to send for each operation, and what an answer means.
 * Pure: no I/O, no libcurl handle but header lists; http.c does the sending.  Files are file.c's.
 *
 * Protocol sources: AWS S3 API reference; Ceph "S3 API"; COS API documents 436/7749 (PUT), 7746 (Initiate), 7750 (Part), 7742
 * (Complete), 7740 (Abort), 7747 (List Parts), 7736 (List Multipart
 * Uploads), 7745 (HEAD), 10881 (PUT - Copy), 8287 (Upload Part - Copy).
 */
#ifndef WORKER_STORE_H
#define WORKER_STORE_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "common/config.h"
#include "common/task.h"
#include "worker/s3xml.h"

#define STORE_URL_MAX (URI_MAX * 3 + 1024)
#define STORE_META_MAX 4096

enum store_op {
	OP_HEAD,
	OP_GET, /* a range if range_last >= 0 */
	OP_PUT, /* the whole object */
	OP_INITIATE,
	OP_UPLOAD_PART,
	OP_COMPLETE,
	OP_ABORT,
	OP_LIST_PARTS,
	OP_LIST_UPLOADS, /* those whose keys begin with call.key */
	OP_DELETE,
	OP_COPY,      /* the whole object, from copy_bucket and copy_key of the same store */
	OP_COPY_PART, /* a range of it */
};

/* What a HEAD or GET said of an object.  Strings empty, numbers -1 where the answer did not say. */
struct object_info {
	int64_t size;	      /* of the whole object: Content-Length of HEAD or 200, the total of Content-Range of 206 */
	int64_t range_first;  /* of Content-Range */
	int64_t range_last;
	int64_t content_length; /* of this answer's body */
	bool accepts_ranges;
	bool has_crc64;
	uint64_t crc64; /* x-cos-hash-crc64ecma */
	bool has_crc32c;
	uint32_t crc32c; /* x-amz-checksum-crc32c, of all bytes: one of the type COMPOSITE is not taken */
	int64_t date;	     /* seconds since 1970 by the server's clock */
	int64_t retry_after; /* seconds */
	int64_t retry_at;    /* the same, where it was said as a date */
	char etag[S3XML_ETAG_MAX]; /* with its quotes removed, W/ kept */
	char version[256];	   /* x-amz-version-id, x-cos-version-id */
	char content_type[256];
	char cache_control[256];
	char content_disposition[512];
	char content_encoding[128]; /* without the token aws-chunked */
	char content_language[128];
	char expires[64];
	char metadata[STORE_META_MAX]; /* user metadata as "name\x1fvalue\x1e", prefix (x-amz-meta-, x-cos-meta-) removed */
	char location[URI_MAX];	       /* redirects */
};

struct store_call {
	enum store_op op;
	const char *bucket; /* NULL for URLs */
	const char *key;    /* literal; for plain HTTP the whole URL, already encoded */
	const char *upload_id;
	int part_number;
	int part_marker;	/* OP_LIST_PARTS */
	int64_t range_first;	/* OP_GET, OP_COPY_PART */
	int64_t range_last;	/* -1: the whole object */
	const char *if_match;	/* ETag of the source, without quotes; NULL or "" for none.  A weak one (W/…) is not sent */
	const char *copy_bucket; /* OP_COPY, OP_COPY_PART */
	const char *copy_key;
	bool if_none_match_any; /* PUT, COMPLETE: only if nothing is there (If-None-Match: *, x-cos-forbid-overwrite: true) */
	int64_t content_length; /* PUT, UPLOAD_PART, COMPLETE: of the body as it is sent */
	/*
	 * S3: INITIATE asks for an upload with CRC32C, HEAD for the object's; the body of PUT and UPLOAD_PART is framed and has it in
	 * its trailer (aws_chunked.h), with decoded_length bytes in the frame; COMPLETE says the whole object's.
	 */
	bool crc32c;
	int64_t decoded_length;
	uint32_t whole_crc32c;
	const char *content_md5; /* base64; NULL for none */
	const struct object_info *info; /* PUT, INITIATE, COPY: the new object's headers and metadata; NULL: none, or of COPY the source's */
	const char *storage_class;	/* PUT, INITIATE, COPY; "" for none */
	time_t now;
};

struct store_request {
	const char *method;
	char *url;			/* heap */
	struct curl_slist *headers;	/* complete, Authorization among them, "Expect:" suppressed */
};

/* True if the store of that kind takes uploads (s3, cos). */
bool store_is_writable(enum store_kind kind);

/* Longest key in bytes, smallest and largest part, most parts, largest object of a store of that kind. */
struct store_limits {
	int key_max;
	int64_t part_min;
	int64_t part_max;
	int parts_max;
	int64_t object_max;
};
const struct store_limits *store_limits(enum store_kind kind);

/*
 * Checks bucket and key against the store's rules.  Returns 0, or -1 with a sentence in why.
 */
int store_check_name(const struct config_store *store, const char *bucket, const char *key, char *why, size_t why_size);

/*
 * Builds and signs a request.  Returns 0, or -1 with a sentence in why (a name too long, a control character in a header, metadata
 * beyond what the store takes).  COS keeps no '_' and '.' in names of metadata: they become '-'.  The caller releases it.
 * A redirect or a retry needs a new one: signatures carry the time.
 */
int store_build(const struct config_store *store, const struct store_call *call, struct store_request *req, char *why,
    size_t why_size);
void store_request_release(struct store_request *req);

/* Empties info: strings "", numbers -1. */
void object_info_init(struct object_info *info);

/* Of the strings only what is in use. */
void object_info_copy(struct object_info *to, const struct object_info *from);

/*
 * Takes in one response header line, name and value trimmed, any case.  Unknown names are ignored; values that are too long or hold
 * what could not be passed on (control characters; in ETag and version anything but printable ASCII) are dropped, and of metadata
 * of one name all but the first.  A 206 whose Content-Range made no sense leaves range_first at -1.
 */
void store_take_header(const struct config_store *store, struct object_info *info, const char *name, const char *value);

/*
 * The class of an answer that is not a success: HTTP status, <Code> of the error document ("" if none), the operation.
 * One table for all dialects.  404 on HEAD or GET of a source is permanent; 412 on a ranged GET is source-changed; 416 too.
 */
enum error_class store_classify(int status, const char *code, enum store_op op);

/* The body of CompleteMultipartUpload: feed parts in ascending order.  Returns a heap string of length *len, never NULL. */
struct store_etag {
	int number;
	const char *etag;
	bool has_crc32c;
	uint32_t crc32c;
};
char *store_complete_body(const struct store_etag *parts, int nparts, size_t *len);

#endif
