/*
 * The code of the error document decides first, since it says more; then the status.
 *
 * AWS "Error responses", COS document 436/7730, Ceph "S3 error responses".
 */
#include "worker/store/classify.h"

#include <stdbool.h>
#include <string.h>

/* Whose trouble an error is. */
enum blame {
	BLAME_STORE, /* certainly: no object could be the reason */
	BLAME_UNCLEAR, /* the store's, unless the store serves other tasks well */
	BLAME_OBJECT,
};

struct answer {
	enum error_class class;
	enum blame blame;
};

static const struct {
	const char *code;
	struct answer means;
} codes[] = {
	{ "SlowDown", { CLASS_THROTTLED, BLAME_STORE } },
	{ "SlowDownRead", { CLASS_THROTTLED, BLAME_STORE } },
	{ "SlowDownWrite", { CLASS_THROTTLED, BLAME_STORE } },
	{ "TooManyRequests", { CLASS_THROTTLED, BLAME_STORE } },
	{ "RequestLimitExceeded", { CLASS_THROTTLED, BLAME_STORE } },
	{ "BandwidthLimitExceeded", { CLASS_THROTTLED, BLAME_STORE } },
	{ "Throttling", { CLASS_THROTTLED, BLAME_STORE } },
	{ "ThrottlingException", { CLASS_THROTTLED, BLAME_STORE } },

	{ "QuotaExceeded", { CLASS_FULL, BLAME_UNCLEAR } }, /* of one bucket, or of all */

	/* somebody may be about to make it; other buckets of the store are well */
	{ "NoSuchBucket", { CLASS_TRANSIENT, BLAME_OBJECT } },
	{ "InternalError", { CLASS_TRANSIENT, BLAME_UNCLEAR } },
	{ "ServiceUnavailable", { CLASS_TRANSIENT, BLAME_UNCLEAR } },
	{ "RequestTimeout", { CLASS_TRANSIENT, BLAME_UNCLEAR } },
	/* the next attempt signs again, perhaps by a clock that was set right */
	{ "RequestTimeTooSkewed", { CLASS_TRANSIENT, BLAME_STORE } },
	{ "UserNetworkTooSlow", { CLASS_TRANSIENT, BLAME_UNCLEAR } },
	{ "IncompleteBody", { CLASS_TRANSIENT, BLAME_OBJECT } },
	{ "BadDigest", { CLASS_TRANSIENT, BLAME_OBJECT } }, /* bytes were damaged on the way */
	{ "XAmzContentSHA256Mismatch", { CLASS_TRANSIENT, BLAME_OBJECT } },
	{ "PathConflict", { CLASS_TRANSIENT, BLAME_OBJECT } },
	{ "OperationAborted", { CLASS_TRANSIENT, BLAME_OBJECT } },
	{ "ConditionalRequestConflict", { CLASS_TRANSIENT, BLAME_OBJECT } },
	/* gone or completed: the next attempt looks, and begins a new upload */
	{ "NoSuchUpload", { CLASS_TRANSIENT, BLAME_OBJECT } },
	{ "InvalidPart", { CLASS_TRANSIENT, BLAME_OBJECT } }, /* the next attempt lists the parts */

	{ "AccessDenied", { CLASS_CREDENTIALS, BLAME_UNCLEAR } }, /* to one bucket, or to all */
	{ "AccountProblem", { CLASS_CREDENTIALS, BLAME_STORE } },
	/* the key's region differs from ours */
	{ "AuthorizationHeaderMalformed", { CLASS_CREDENTIALS, BLAME_STORE } },
	{ "CredentialsNotSupported", { CLASS_CREDENTIALS, BLAME_STORE } },
	{ "ExpiredToken", { CLASS_CREDENTIALS, BLAME_STORE } },
	{ "InvalidAccessKeyId", { CLASS_CREDENTIALS, BLAME_STORE } },
	{ "InvalidSecurity", { CLASS_CREDENTIALS, BLAME_STORE } },
	{ "InvalidToken", { CLASS_CREDENTIALS, BLAME_STORE } },
	{ "NotSignedUp", { CLASS_CREDENTIALS, BLAME_STORE } },
	/* a proxy may change the path of some keys */
	{ "SignatureDoesNotMatch", { CLASS_CREDENTIALS, BLAME_UNCLEAR } },
	{ "TokenRefreshRequired", { CLASS_CREDENTIALS, BLAME_STORE } },
	{ "UserSuspended", { CLASS_CREDENTIALS, BLAME_STORE } },

	{ "EntityTooLarge", { CLASS_PERMANENT, BLAME_OBJECT } },
	{ "EntityTooSmall", { CLASS_PERMANENT, BLAME_OBJECT } },
	{ "FileAlreadyExists", { CLASS_PERMANENT, BLAME_OBJECT } },
	{ "InvalidArgument", { CLASS_PERMANENT, BLAME_OBJECT } },
	{ "InvalidBucketName", { CLASS_PERMANENT, BLAME_OBJECT } },
	{ "InvalidDigest", { CLASS_PERMANENT, BLAME_OBJECT } },
	{ "InvalidObjectState",
	    { CLASS_PERMANENT, BLAME_OBJECT } }, /* archived, and not restored */
	{ "InvalidPartOrder", { CLASS_PERMANENT, BLAME_OBJECT } },
	{ "KeyTooLong", { CLASS_PERMANENT, BLAME_OBJECT } },
	{ "KeyTooLongError", { CLASS_PERMANENT, BLAME_OBJECT } },
	{ "MalformedXML", { CLASS_PERMANENT, BLAME_OBJECT } },
	{ "MetadataTooLarge", { CLASS_PERMANENT, BLAME_OBJECT } },
	{ "MethodNotAllowed", { CLASS_PERMANENT, BLAME_OBJECT } },
	{ "NoSuchVersion", { CLASS_PERMANENT, BLAME_OBJECT } },
	{ "NotImplemented", { CLASS_PERMANENT, BLAME_OBJECT } },
	{ "PathStyleDomainForbidden", { CLASS_PERMANENT, BLAME_OBJECT } },
	{ "PermanentRedirect", { CLASS_PERMANENT, BLAME_OBJECT } },
};

static const struct {
	int status;
	struct answer means;
} statuses[] = {
	{ 401, { CLASS_CREDENTIALS, BLAME_UNCLEAR } },
	{ 403, { CLASS_CREDENTIALS, BLAME_UNCLEAR } },
	{ 408, { CLASS_TRANSIENT, BLAME_UNCLEAR } },
	{ 409, { CLASS_TRANSIENT, BLAME_OBJECT } },
	{ 425, { CLASS_TRANSIENT, BLAME_UNCLEAR } },
	{ 407, { CLASS_CREDENTIALS, BLAME_STORE } }, /* a proxy wants its own */
	{ 429, { CLASS_THROTTLED, BLAME_STORE } },
	{ 501, { CLASS_PERMANENT, BLAME_OBJECT } },
	{ 505, { CLASS_PERMANENT, BLAME_OBJECT } },
	{ 507, { CLASS_FULL, BLAME_UNCLEAR } },
	{ 509, { CLASS_THROTTLED, BLAME_STORE } },
};

/* In the tables; NULL: neither knows it. */
static const struct answer *
find(int status, const char *code)
{
	size_t i;

	for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (strcmp(codes[i].code, code) == 0)
			return &codes[i].means;
	for (i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
		if (statuses[i].status == status)
			return &statuses[i].means;
	return NULL;
}

enum error_class
store_classify(int status, const char *code, enum store_op op)
{
	bool reads = op == OP_GET || op == OP_HEAD;
	bool of_upload =
	    op == OP_UPLOAD_PART || op == OP_COMPLETE || op == OP_LIST_PARTS || op == OP_ABORT;
	bool copies = op == OP_COPY || op == OP_COPY_PART;
	const struct answer *answer = find(status, code);

	/* the pinned ETag does not match, or the range lies behind the new end */
	if ((reads && (status == 412 || status == 416)) ||
	    (copies && (status == 412 || strcmp(code, "PreconditionFailed") == 0)))
		return CLASS_SOURCE_CHANGED;
	/* Ceph answers NoSuchKey to an unknown upload, too */
	if (of_upload && strcmp(code, "NoSuchKey") == 0)
		return CLASS_TRANSIENT;
	if (answer != NULL)
		return answer->class;
	/* an error inside a 200, no status, or a server's fault may pass; all others are ours */
	return status < 300 || status >= 500 ? CLASS_TRANSIENT : CLASS_PERMANENT;
}

void
store_blame(struct failure *f, enum store_kind kind)
{
	const struct answer *answer = find(f->status, f->code);

	/* a URL has its rights in itself */
	if (kind == STORE_HTTP && f->class == CLASS_CREDENTIALS && f->status != 407) {
		f->class = CLASS_PERMANENT;
		failure_blame(f, TROUBLE_OBJECT);
	}
	if (!task_class_retries(f->class) || f->class == CLASS_SOURCE_CHANGED || answer == NULL)
		return;
	if (answer->blame == BLAME_OBJECT)
		failure_blame(f, TROUBLE_OBJECT);
	else if (answer->blame == BLAME_STORE)
		failure_blame(f, TROUBLE_STORE);
}
