/*
 * The XML documents of S3, Ceph and COS, read by expat as they arrive, with one parser for each
 * answer.  Servers are not trusted: everything is bounded.  Unknown elements are skipped.  Errors
 * are: a DOCTYPE, text beyond its limit, nesting deeper than 8, a document that ends early.
 */
#ifndef WORKER_STORE_XML_H
#define WORKER_STORE_XML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define S3XML_UPLOAD_ID_MAX 1024
#define S3XML_ETAG_MAX 256
#define S3XML_KEY_MAX 1025
#define S3XML_PARTS_MAX 1000 /* a page of ListParts */
#define S3XML_UPLOADS_MAX 100 /* a page of ListMultipartUploads, as the request asks */

enum s3xml_root {
	S3XML_NONE, /* nothing but white space so far */
	S3XML_INITIATE,
	S3XML_COMPLETE,
	S3XML_LIST_PARTS,
	S3XML_LIST_UPLOADS,
	S3XML_ERROR,
	S3XML_COPY_OBJECT,
	S3XML_COPY_PART,
	S3XML_OTHER, /* any other document */
};

struct s3xml_part {
	int number;
	int64_t size;
	char etag[S3XML_ETAG_MAX]; /* without quotes */
	bool has_crc32c;
	uint32_t crc32c;
};

struct s3xml_upload {
	int64_t initiated; /* seconds since 1970 by the store's clock */
	char key[S3XML_KEY_MAX];
	char id[S3XML_UPLOAD_ID_MAX];
};

/* The contents of a document; they may be trusted only after s3xml_finish() has returned 0. */
struct s3xml {
	enum s3xml_root root;
	struct s3xml_parser *parser;

	/* Initiate, Complete, CopyObject, CopyPart */
	char upload_id[S3XML_UPLOAD_ID_MAX];
	char etag[S3XML_ETAG_MAX]; /* without quotes; may be empty (Ceph's first answer) */
	char crc64[32]; /* COS; empty if the document has none */

	/* Error */
	char code[128]; /* COS: AccessDenied, "Request has expired" becomes RequestTimeTooSkewed */
	char message[256]; /* cut to size; Ceph sends none */
	char signed_host[128]; /* SignatureDoesNotMatch: the Host that the server saw; empty: not
				  said */

	/* ListParts: the checksums that the upload was begun with; empty if not stated */
	char checksum_algorithm[16]; /* "CRC32C" */
	char checksum_type[16]; /* "FULL_OBJECT", "COMPOSITE" */

	/* both lists */
	bool with_list;
	bool truncated; /* there are more pages */
	int next_marker;
	int nparts;
	struct s3xml_part *parts; /* heap: S3XML_PARTS_MAX */
	int nuploads;
	struct s3xml_upload *uploads; /* heap: S3XML_UPLOADS_MAX */
};

/*
 * with_list: the document may be a list, and gets room for a page.  Returns 0, or -1 (out of
 * memory).
 */
int s3xml_init(struct s3xml *x, bool with_list);
void s3xml_release(struct s3xml *x);

/*
 * Feeds a piece of the body; white space before the document is skipped.  Returns 0, or -1 if the
 * document is known to be bad.  An error may be found only with a later piece or at the end.
 */
int s3xml_feed(struct s3xml *x, const char *buf, size_t len);

/*
 * Ends the body.  Returns 0 if it was one well-formed document; else -1, with what is wrong in why
 * ("a DOCTYPE").  Further calls return the same.
 */
int s3xml_finish(struct s3xml *x, char *why, size_t why_size);

#endif
