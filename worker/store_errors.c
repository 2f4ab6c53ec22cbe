/*
 * What an answer that is no success means: first by the code of its error document, which says more, then by its
 * status.  And the body that Complete sends.
 *
 * AWS "Error responses", COS document 436/7730, Ceph "S3 error responses".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/crc32c.h"
#include "worker/memory.h"
#include "worker/store.h"

static const struct {
	const char *code;
	enum error_class class;
} codes[] = {
	{ "SlowDown", CLASS_THROTTLED },
	{ "SlowDownRead", CLASS_THROTTLED },
	{ "SlowDownWrite", CLASS_THROTTLED },
	{ "TooManyRequests", CLASS_THROTTLED },
	{ "RequestLimitExceeded", CLASS_THROTTLED },
	{ "BandwidthLimitExceeded", CLASS_THROTTLED },
	{ "Throttling", CLASS_THROTTLED },
	{ "ThrottlingException", CLASS_THROTTLED },

	{ "InternalError", CLASS_TRANSIENT },
	{ "ServiceUnavailable", CLASS_TRANSIENT },
	{ "RequestTimeout", CLASS_TRANSIENT },
	{ "RequestTimeTooSkewed", CLASS_TRANSIENT }, /* signed again, with a clock set right in the meantime */
	{ "UserNetworkTooSlow", CLASS_TRANSIENT },
	{ "IncompleteBody", CLASS_TRANSIENT },
	{ "BadDigest", CLASS_TRANSIENT }, /* bytes were damaged on the way */
	{ "XAmzContentSHA256Mismatch", CLASS_TRANSIENT },
	{ "PathConflict", CLASS_TRANSIENT },
	{ "OperationAborted", CLASS_TRANSIENT },
	{ "ConditionalRequestConflict", CLASS_TRANSIENT },
	{ "NoSuchUpload", CLASS_TRANSIENT }, /* gone, or finished: the next attempt looks, and begins a new one */
	{ "InvalidPart", CLASS_TRANSIENT },  /* the next attempt asks which parts there are */

	{ "AccessDenied", CLASS_CREDENTIALS },
	{ "AuthorizationHeaderMalformed", CLASS_CREDENTIALS }, /* the region of the key is another */
	{ "CredentialsNotSupported", CLASS_CREDENTIALS },
	{ "ExpiredToken", CLASS_CREDENTIALS },
	{ "InvalidAccessKeyId", CLASS_CREDENTIALS },
	{ "InvalidSecurity", CLASS_CREDENTIALS },
	{ "InvalidToken", CLASS_CREDENTIALS },
	{ "NotSignedUp", CLASS_CREDENTIALS },
	{ "SignatureDoesNotMatch", CLASS_CREDENTIALS },
	{ "TokenRefreshRequired", CLASS_CREDENTIALS },

	{ "EntityTooLarge", CLASS_PERMANENT },
	{ "EntityTooSmall", CLASS_PERMANENT },
	{ "FileAlreadyExists", CLASS_PERMANENT },
	{ "InvalidArgument", CLASS_PERMANENT },
	{ "InvalidBucketName", CLASS_PERMANENT },
	{ "InvalidDigest", CLASS_PERMANENT },
	{ "InvalidObjectState", CLASS_PERMANENT }, /* archived: somebody has to restore it */
	{ "InvalidPartOrder", CLASS_PERMANENT },
	{ "KeyTooLong", CLASS_PERMANENT },
	{ "KeyTooLongError", CLASS_PERMANENT },
	{ "MalformedXML", CLASS_PERMANENT },
	{ "MetadataTooLarge", CLASS_PERMANENT },
	{ "MethodNotAllowed", CLASS_PERMANENT },
	{ "NoSuchBucket", CLASS_PERMANENT },
	{ "NoSuchVersion", CLASS_PERMANENT },
	{ "NotImplemented", CLASS_PERMANENT },
	{ "PathStyleDomainForbidden", CLASS_PERMANENT },
	{ "PermanentRedirect", CLASS_PERMANENT },
	{ "QuotaExceeded", CLASS_PERMANENT },
};

static const struct {
	int status;
	enum error_class class;
} statuses[] = {
	{ 401, CLASS_CREDENTIALS },
	{ 403, CLASS_CREDENTIALS },
	{ 408, CLASS_TRANSIENT },
	{ 409, CLASS_TRANSIENT },
	{ 425, CLASS_TRANSIENT },
	{ 429, CLASS_THROTTLED },
	{ 501, CLASS_PERMANENT },
	{ 505, CLASS_PERMANENT },
	{ 509, CLASS_THROTTLED },
};

enum error_class
store_classify(int status, const char *code, enum store_op op)
{
	bool reads = op == OP_GET || op == OP_HEAD;
	bool of_upload = op == OP_UPLOAD_PART || op == OP_COMPLETE || op == OP_LIST_PARTS || op == OP_ABORT;
	bool copies = op == OP_COPY || op == OP_COPY_PART;
	size_t i;

	/* The pin of the source did not hold, or the range lies behind its new end. */
	if ((reads && (status == 412 || status == 416)) || (copies && status == 412))
		return CLASS_SOURCE_CHANGED;
	/* Ceph calls an upload that it does not know NoSuchKey as well. */
	if (of_upload && strcmp(code, "NoSuchKey") == 0)
		return CLASS_TRANSIENT;
	for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (strcmp(codes[i].code, code) == 0)
			return codes[i].class;
	for (i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
		if (statuses[i].status == status)
			return statuses[i].class;
	/* An error inside a 200, no status at all, and the server's own faults pass; what is left is about the request. */
	return status < 300 || status >= 500 ? CLASS_TRANSIENT : CLASS_PERMANENT;
}

/* With what XML needs escaped escaped. */
static void
put_escaped(FILE *out, const char *s)
{
	for (; *s != '\0'; s++) {
		if (*s == '&')
			fputs("&amp;", out);
		else if (*s == '<')
			fputs("&lt;", out);
		else if (*s == '>')
			fputs("&gt;", out);
		else
			fputc(*s, out);
	}
}

char *
store_complete_body(const struct store_etag *parts, int nparts, size_t *len)
{
	char *body = NULL, crc32c[CRC32C_TEXT_MAX];
	FILE *out;
	int i;

	out = open_memstream(&body, len);
	if (out == NULL)
		memory_exhausted(BUFSIZ);
	fputs("<CompleteMultipartUpload>", out);
	for (i = 0; i < nparts; i++) {
		fprintf(out, "<Part><PartNumber>%d</PartNumber><ETag>\"", parts[i].number);
		put_escaped(out, parts[i].etag);
		fputs("\"</ETag>", out);
		if (parts[i].has_crc32c) {
			crc32c_format(parts[i].crc32c, crc32c);
			fprintf(out, "<ChecksumCRC32C>%s</ChecksumCRC32C>", crc32c);
		}
		fputs("</Part>", out);
	}
	fputs("</CompleteMultipartUpload>", out);
	if (ferror(out) || fclose(out) != 0)
		memory_exhausted((size_t)nparts * 64);
	return body;
}
