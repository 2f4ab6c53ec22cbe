/*
 * The rights that each operation needs, by the names that the stores' policies give them. ferry(7),
 * RIGHTS, has the table by what ferryd does.
 *
 * docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html, COS 436/31923
 */
#include "worker/store/classify.h"

#include <stddef.h>

static const struct {
	const char *s3;
	const char *cos;
} rights[] = {
	/* without s3:ListBucket S3 answers 403, not 404, for an object that is not there */
	[OP_HEAD] = { "s3:GetObject, or s3:ListBucket if there is no such object",
	    "name/cos:HeadObject" },
	[OP_GET] = { "s3:GetObject, or s3:ListBucket if there is no such object",
	    "name/cos:GetObject" },
	[OP_PUT] = { "s3:PutObject", "name/cos:PutObject" },
	[OP_INITIATE] = { "s3:PutObject", "name/cos:InitiateMultipartUpload" },
	[OP_UPLOAD_PART] = { "s3:PutObject", "name/cos:UploadPart" },
	[OP_COMPLETE] = { "s3:PutObject", "name/cos:CompleteMultipartUpload" },
	[OP_ABORT] = { "s3:AbortMultipartUpload", "name/cos:AbortMultipartUpload" },
	[OP_LIST_PARTS] = { "s3:ListMultipartUploadParts", "name/cos:ListParts" },
	[OP_LIST_UPLOADS] = { "s3:ListBucketMultipartUploads", "name/cos:ListMultipartUploads" },
	[OP_DELETE] = { "s3:DeleteObject", "name/cos:DeleteObject" },
	[OP_COPY] = { "s3:PutObject, or s3:GetObject of the source",
	    "name/cos:PutObject, or name/cos:GetObject of the source" },
	[OP_COPY_PART] = { "s3:PutObject, or s3:GetObject of the source",
	    "name/cos:UploadPartCopy, or name/cos:GetObject of the source" },
};

const char *
store_right(enum store_kind kind, enum store_op op)
{
	switch (kind) {
	case STORE_S3:
		return rights[op].s3;
	case STORE_COS:
		return rights[op].cos;
	case STORE_FILE:
	case STORE_HTTP:
		break;
	}
	return NULL;
}
