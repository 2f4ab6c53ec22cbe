/*
 * S3's additional checksums, of which CRC32C is the one used here: the headers by which a request asks for it, brings it, or
 * wants it told.  docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
 *
 * A part always brings its own, in a trailer.  Amazon would compute it unasked once the upload was begun with an algorithm, but
 * MinIO refuses a part that comes without.  For the same reason Complete lists the parts' sums (store_complete_body()), which
 * Amazon could do without where the whole object's is of the type FULL_OBJECT.
 */
#include <inttypes.h>

#include "worker/crc32c.h"
#include "worker/store_dialect.h"

static int
draft_headers_of(struct store_draft *d, const struct sign_pair *pairs)
{
	for (; pairs->name != NULL; pairs++)
		if (draft_header(d, pairs->name, pairs->value) == -1)
			return -1;
	return 0;
}

/* FULL_OBJECT: the checksum of the whole is that of its bytes, not one of the parts' checksums. */
static int
draft_initiate(struct store_draft *d)
{
	static const struct sign_pair pairs[] = {
		{ "x-amz-checksum-algorithm", "CRC32C" },
		{ "x-amz-checksum-type", "FULL_OBJECT" },
		{ NULL, NULL },
	};

	return draft_headers_of(d, pairs);
}

/* The coding aws-chunked comes first; what the object is coded in besides is its own, and stays. */
static int
draft_trailer(struct store_draft *d)
{
	const struct object_info *info = d->call->info;
	bool coded = d->call->op == OP_PUT && info != NULL && info->content_encoding[0] != '\0';
	const char *length = draft_text(d, "%" PRId64, d->call->decoded_length);
	const char *coding = draft_text(d, "aws-chunked%s%s", coded ? "," : "", coded ? info->content_encoding : "");
	const struct sign_pair pairs[] = {
		{ "Content-Encoding", coding },
		{ "x-amz-decoded-content-length", length },
		{ "x-amz-sdk-checksum-algorithm", "CRC32C" },
		{ "x-amz-trailer", "x-amz-checksum-crc32c" },
		{ NULL, NULL },
	};

	return length == NULL || coding == NULL ? -1 : draft_headers_of(d, pairs);
}

/* So that a sum that is not right makes no object. */
static int
draft_complete(struct store_draft *d)
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
		return draft_initiate(d);
	case OP_PUT:
	case OP_UPLOAD_PART:
		return draft_trailer(d);
	case OP_COMPLETE:
		return draft_complete(d);
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
