/*
 * libFuzzer: any text is a task's URI.  The first byte says where a secret is put into the text.
 * Wherever libcurl's own parser finds the secret in user, password, query or fragment, it must not
 * be in what uri_redact() gives to logs.
 */
#include <assert.h>
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SECRET "qXjZw"

static bool
is_in(CURLU *url, CURLUPart part)
{
	char *value;
	bool found;

	if (curl_url_get(url, part, &value, 0) != CURLUE_OK)
		return false;
	found = strstr(value, SECRET) != NULL;
	curl_free(value);
	return found;
}

/* Whether the text begins as a store's URI does. */
static bool
is_store_uri(const char *text)
{
	size_t len =
	    strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-");

	return strncmp(text + len, "://", 3) == 0 && strncasecmp(text, "http", 4) != 0;
}

/*
 * Whether libcurl takes the secret for a part of the URL that is secret.  In a store's URI '?', '#'
 * and '@' belong to the names.
 */
static bool
is_secret(const char *text, unsigned flags)
{
	CURLU *url = curl_url();
	bool found = false;

	if (url == NULL)
		abort();
	if (curl_url_set(url, CURLUPART_URL, text, flags) == CURLUE_OK) {
		found = is_in(url, CURLUPART_PASSWORD);
		if (!is_store_uri(text))
			found = found || is_in(url, CURLUPART_USER) ||
				is_in(url, CURLUPART_QUERY) || is_in(url, CURLUPART_FRAGMENT);
	}
	curl_url_cleanup(url);
	return found;
}

static void
check_redaction(const char *text, size_t cut)
{
	char whole[URI_MAX + 64], part[64];

	uri_redact(whole, sizeof(whole), text);
	uri_redact(part, cut, text);
	assert(cut == 0 || (strlen(part) < cut && strncmp(whole, part, strlen(part)) == 0));
	if (is_secret(text, 0) ||
	    is_secret(text, CURLU_GUESS_SCHEME | CURLU_ALLOW_SPACE | CURLU_PATH_AS_IS))
		assert(strstr(whole, SECRET) == NULL);
}

static void
check_parts(const char *text)
{
	struct uri uri;
	char why[256] = "", bucket[URI_BUCKET_MAX];
	const char *key;

	if (uri_parse(&uri, text, why, sizeof(why)) == -1) {
		assert(why[0] != '\0' && strstr(why, SECRET) == NULL);
		return;
	}
	assert(uri.path > text && strncmp(uri.path - 3, "://", 3) == 0 && *uri.path != '\0');
	assert(strncasecmp(uri.store, text, strlen(uri.store)) == 0);
	if (uri.is_url)
		return;
	if (uri_split_bucket(&uri, bucket, &key, why, sizeof(why)) == -1)
		assert(why[0] != '\0');
	else
		assert(strncmp(uri.path, bucket, strlen(bucket)) == 0 && key[-1] == '/' &&
		       key == uri.path + strlen(bucket) + 1 && *key != '\0');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[512], *plain;
	size_t at, len;

	if (size < 2 || size > sizeof(text) - sizeof(SECRET))
		return 0;
	plain = strndup((const char *)data + 1, size - 1);
	len = strlen(plain);
	at = data[0] % (len + 1);
	check_parts(plain);
	if (strcasestr(plain, SECRET) == NULL) {
		memcpy(text, plain, at);
		memcpy(text + at, SECRET, strlen(SECRET));
		memcpy(text + at + strlen(SECRET), plain + at, len - at + 1);
		check_parts(text);
		check_redaction(text, data[0] % 64);
	}
	free(plain);
	return 0;
}
