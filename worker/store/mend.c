/*
 * What an operator changes after a refusal: by the code of the error document.
 *
 * AWS "Error responses", COS document 436/7730.
 */
#include "worker/store/classify.h"

#include <stddef.h>
#include <string.h>

static const struct {
	const char *code;
	const char *mend;
} mends[] = {
	{ "AuthorizationHeaderMalformed", "correct region" },
	{ "ExpiredToken", "renew the session token" },
	{ "InvalidAccessKeyId", "the store knows no such key: correct access_key" },
	{ "InvalidBucketName", "correct the bucket's name in the URI" },
	{ "InvalidToken", "renew the session token" },
	{ "NoSuchBucket", "make the bucket, or correct its name in the URI" },
	{ "PathStyleDomainForbidden", "set addressing = \"virtual\"" },
	{ "RequestTimeTooSkewed", "set the clock of this machine" },
};

const char *
store_mend(const char *code)
{
	size_t i;

	for (i = 0; i < sizeof(mends) / sizeof(mends[0]); i++)
		if (strcmp(mends[i].code, code) == 0)
			return mends[i].mend;
	return NULL;
}
