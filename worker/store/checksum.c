/*
 * S3's additional checksums.  ferryd uses CRC32C: these headers begin an upload with it, state it,
 * or ask for it.
 * docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
 *
 * Each part states its checksum in a trailer, and Complete lists the parts' checksums
 * (store_complete_body()).  Amazon needs neither: it computes a part's checksum itself, and with
 * FULL_OBJECT it needs that of the whole only.  But MinIO refuses a part without a checksum.
 */
#include <inttypes.h>

#include "worker/base/crc32c.h"
#include "worker/store/private.h"

static int
add_pairs(struct store_draft *d, const struct sign_pair *pairs)
{
	for (; pairs->name != NULL; pairs++)
		if (draft_header(d, pairs->name, pairs->value) == -1)
			return -1;
	return 0;
}

/* FULL_OBJECT: a checksum of the object's bytes, not of the parts' checksums (COMPOSITE). */
static int
add_algorithm(struct store_draft *d)
{
	static const struct sign_pair pairs[] = {
		{ "x-amz-checksum-algorithm", "CRC32C" },
		{ "x-amz-checksum-type", "FULL_OBJECT" },
		{ NULL, NULL },
	};

	return add_pairs(d, pairs);
}

/* aws-chunked stands before the object's own content coding. */
static int
add_trailer(struct store_draft *d)
{
	const struct object_info *info = d->call->info;
	const char *own = d->call->op == OP_PUT && info != NULL
			      ? object_info_text(info, INFO_CONTENT_ENCODING)
			      : "";
	const char *length = draft_text(d, "%" PRId64, d->call->decoded_length);
	const char *coding = draft_text(d, "aws-chunked%s%s", own[0] != '\0' ? "," : "", own);
	const struct sign_pair pairs[] = {
		{ "Content-Encoding", coding },
		{ "x-amz-decoded-content-length", length },
		{ "x-amz-sdk-checksum-algorithm", "CRC32C" },
		{ "x-amz-trailer", "x-amz-checksum-crc32c" },
		{ NULL, NULL },
	};

	return length == NULL || coding == NULL ? -1 : add_pairs(d, pairs);
}

/* If the checksum is wrong, the store makes no object. */
static int
add_whole(struct store_draft *d)
{
	char text[CRC32C_TEXT_MAX];

	crc32c_format(d->call->whole_crc32c, text);
	if (draft_header(d, "x-amz-checksum-crc32c", text) == -1)
		return -1;
	return draft_header(d, "x-amz-checksum-type", "FULL_OBJECT");
}

int
draft_checksum(struct store_draft *d)
{
	switch (d->call->op) {
	case OP_INITIATE:
		return add_algorithm(d);
	case OP_PUT:
	case OP_UPLOAD_PART:
		return add_trailer(d);
	case OP_COMPLETE:
		return add_whole(d);
	case OP_HEAD:
		return draft_header(d, "x-amz-checksum-mode", "ENABLED");
	case OP_GET:
	case OP_COPY:
	case OP_COPY_PART:
	case OP_ABORT:
	case OP_LIST_PARTS:
	case OP_LIST_UPLOADS:
	case OP_DELETE:
		break;
	}
	return 0;
}
