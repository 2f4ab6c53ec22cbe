/*
 * The XML documents that S3, Ceph and COS answer with, read by expat as they arrive.  One parser for each answer;
 * elements that the document's table does not expect are skipped, a wrong root, a DOCTYPE, text beyond its limit, nesting beyond 8 or a document
 * that ends early is an error.  What a server sends is hostile until checked: no entity declarations, everything bounded.
 */
#ifndef WORKER_S3XML_H
#define WORKER_S3XML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define S3XML_UPLOAD_ID_MAX 1024
#define S3XML_ETAG_MAX 256
#define S3XML_KEY_MAX 1025
#define S3XML_PARTS_MAX 1000 /* a page of ListParts */
#define S3XML_UPLOADS_MAX 100 /* a page of ListMultipartUploads, as we ask for it */

enum s3xml_root {
	S3XML_NONE, /* nothing but white space so far */
	S3XML_INITIATE,
	S3XML_COMPLETE,
	S3XML_LIST_PARTS,
	S3XML_LIST_UPLOADS,
	S3XML_ERROR,
	S3XML_COPY_OBJECT,
	S3XML_COPY_PART,
	S3XML_OTHER, /* well-formed, but none of these */
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

/* What was found.  A document may begin with white space (Complete keeps a connection alive with it). */
struct s3xml {
	enum s3xml_root root;
	char upload_id[S3XML_UPLOAD_ID_MAX];
	char etag[S3XML_ETAG_MAX]; /* Complete, CopyObject, CopyPart; unquoted, may be empty (Ceph's first answer) */
	char code[128];		   /* Error; COS's AccessDenied "Request has expired" is RequestTimeTooSkewed here */
	char message[256];	   /* Error; cut to size, Ceph sends none */
	char crc64[32];		   /* COS Complete may carry <CRC64>-like elements; empty if not */
	char checksum_algorithm[16]; /* ListParts: what the upload was begun with, "CRC32C"; empty if not said */
	char checksum_type[16];	     /* "FULL_OBJECT", "COMPOSITE" */
	bool truncated;		   /* the lists: more pages */
	int next_marker;
	int nparts;
	struct s3xml_part *parts; /* ListParts: room for S3XML_PARTS_MAX */
	int nuploads;
	struct s3xml_upload *uploads; /* ListMultipartUploads: room for S3XML_UPLOADS_MAX */
	bool with_list;
	struct s3xml_parser *parser;
};

/* with_list: the document may be a list, and room is made for a page of it.  Returns 0, or -1 (out of memory). */
int s3xml_init(struct s3xml *x, bool with_list);
void s3xml_release(struct s3xml *x);

/*
 * Feeds a piece of the body.  Returns 0, or -1 if the document is already known to be bad (s3xml_finish says why).  Pieces of
 * any size cost the same; a fault may therefore be found only with a later piece or at the end.
 */
int s3xml_feed(struct s3xml *x, const char *buf, size_t len);

/*
 * The end of the body.  Returns 0 if one well-formed document was read to its end; -1 otherwise, with what is wrong with it in
 * why ("a DOCTYPE").  Asked again, it says the same again.  Only after 0 is what was found to be trusted.
 */
int s3xml_finish(struct s3xml *x, char *why, size_t why_size);

#endif
