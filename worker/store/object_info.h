/*
 * What the head of an answer says of an object; also what a new object is to have: store_call.info.
 *
 * The texts are entries of one block on the heap, so that their number and size have no limit but
 * that of the answer's head, and an answer without texts costs nothing.
 */
#ifndef WORKER_STORE_OBJECT_INFO_H
#define WORKER_STORE_OBJECT_INFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/task.h"
#include "worker/store/xml.h"

/* Numbers are -1, etag is empty, and texts are "" where the answer did not say. */
struct object_info {
	/* bytes: of the whole object, of Content-Range's range, of this answer's body */
	int64_t size;
	int64_t range_first;
	int64_t range_last;
	int64_t content_length;
	int64_t range_total; /* of Content-Range alone, also with 416 */
	bool accepts_ranges;
	bool chunked; /* the last chunk ends the body */
	bool has_request_id; /* x-amz-request-id, x-cos-request-id: the store itself answered */

	/* checksums of all bytes: x-cos-hash-crc64ecma; x-amz-checksum-crc32c unless COMPOSITE */
	bool has_crc64;
	uint64_t crc64;
	bool has_crc32c;
	uint32_t crc32c;

	/* encryption by the server */
	bool encrypted; /* the answer says so */
	bool opaque_etag; /* the kind of encryption that makes an ETag other than the MD5 */

	/* seconds: the server's clock since 1970; the wait that it asks for, as delay and as date
	 */
	int64_t date;
	int64_t retry_after;
	int64_t retry_at;
	int64_t modified_at; /* Last-Modified */

	char etag[S3XML_ETAG_MAX]; /* without quotes, with W/ */
	char modified[40]; /* Last-Modified as it came, a date that can be read */
	char server[64];

	/* why the body cannot be read: store/judge.h */
	char bad_length[64]; /* a Content-Length that is none */
	char coding[64]; /* a Transfer-Encoding other than chunked */

	/* the texts: a byte of enum info_text, the text and a NUL for each */
	bool words; /* metadata may be in the words of RFC 2047: it is an S3 store's */
	size_t used; /* bytes of texts */
	size_t room;
	char *texts; /* heap; NULL: none yet */
};

enum info_text {
	INFO_CONTENT_TYPE,
	INFO_CACHE_CONTROL,
	INFO_CONTENT_DISPOSITION,
	INFO_CONTENT_ENCODING, /* without the token aws-chunked */
	INFO_CONTENT_LANGUAGE,
	INFO_EXPIRES,
	INFO_VERSION, /* x-amz-version-id, x-cos-version-id */
	INFO_LOCATION, /* of a redirect */
	INFO_METADATA, /* "name\x1fvalue", the name without x-amz-meta-; one entry for each pair */
	INFO_LOST, /* "header\x1fwhy": a header of the object that cannot be carried */
	INFO_TEXTS,
};

/* Makes info empty, whatever was there. */
void object_info_init(struct object_info *info);

/* Makes info empty, and keeps its memory for the next texts. */
void object_info_clear(struct object_info *info);

/* Frees what info holds, and makes info empty. */
void object_info_release(struct object_info *info);

/* to is initialised. */
void object_info_copy(struct object_info *to, const struct object_info *from);

/* Adds an entry. */
void object_info_add(struct object_info *info, enum info_text which, const char *text);

/* Adds an entry "name\x1fvalue". */
void object_info_add_pair(
    struct object_info *info, enum info_text which, const char *name, const char *value);

/* Removes the entries of the kind that begin with prefix, in any case. */
void object_info_remove_some(struct object_info *info, enum info_text which, const char *prefix);

/* Removes all entries of the kind. */
void object_info_remove(struct object_info *info, enum info_text which);

/* Replaces all entries of the kind by one. */
void object_info_set(struct object_info *info, enum info_text which, const char *text);

/* The first entry of the kind; "" if there is none. */
const char *object_info_text(const struct object_info *info, enum info_text which);

/*
 * The entry of the kind behind an entry, the first one behind NULL; NULL if there is none.  Valid
 * until info changes.
 */
const char *object_info_next(
    const struct object_info *info, enum info_text which, const char *entry);

/* Adds "name\x1fvalue\x1e…" as entries of metadata. */
void object_info_add_metadata(struct object_info *info, const char *pairs);

#endif
