/*
 * libFuzzer: any text is the URL of a source, or a redirect's; any 16 bytes are an address.  A URL
 * that the guard lets pass leads to an allowed host, without a user, also in the form in which
 * libcurl parses it for the request.  An address counts as private in all of its forms or in none.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/http/reach.h"
#include "worker/store/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct config_worker conf = {
	.nallow = 4,
	.allow = { "good.example", "*.ok.example", "8.8.8.8", "[2600::1]" },
};

static bool
is_allowed(const char *host)
{
	size_t len = strlen(host);

	if (len > 0 && host[len - 1] == '.')
		len--;
	return (len == strlen("good.example") && strncasecmp(host, "good.example", len) == 0) ||
	       (len > 11 && strncasecmp(host + len - 11, ".ok.example", 11) == 0) ||
	       (len == strlen("8.8.8.8") && strncmp(host, "8.8.8.8", len) == 0) ||
	       (len == strlen("[2600::1]") && strncmp(host, "[2600::1]", len) == 0);
}

/* As libcurl parses CURLOPT_URL with CURLOPT_PATH_AS_IS. */
static void
check_request(const char *sent)
{
	CURLU *url = curl_url();
	char *host = NULL, *scheme = NULL, *none = NULL;

	if (url == NULL)
		abort();
	assert(curl_url_set(url, CURLUPART_URL, sent,
		   CURLU_NON_SUPPORT_SCHEME | CURLU_GUESS_SCHEME | CURLU_PATH_AS_IS) == CURLUE_OK);
	assert(curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK && is_allowed(host));
	assert(curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK);
	assert(strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
	assert(curl_url_get(url, CURLUPART_USER, &none, 0) == CURLUE_NO_USER);
	assert(curl_url_get(url, CURLUPART_PASSWORD, &none, 0) == CURLUE_NO_PASSWORD);
	curl_free(host);
	curl_free(scheme);
	curl_url_cleanup(url);
}

static void
check_url(const char *text)
{
	static const struct config_store store = { .name = "http", .kind = STORE_HTTP };
	struct store_request req;
	char why[256] = "", *url;

	if (reach_check_url(&conf, text, why, sizeof(why)) == -1) {
		assert(why[0] != '\0');
		return;
	}
	url = strdup(text);
	url[strcspn(url, "#")] = '\0';
	assert(store_build(&store, &(struct store_call){ .op = OP_GET, .bucket = "", .key = url },
		   &req, why, sizeof(why)) == 0);
	check_request(req.url);
	store_request_release(&req);
	free(url);
}

static bool
is_private6(const uint8_t bytes[16])
{
	struct sockaddr_in6 addr = { .sin6_family = AF_INET6 };
	char text[INET6_ADDRSTRLEN];
	bool private;

	memcpy(&addr.sin6_addr, bytes, 16);
	private = reach_is_private((const struct sockaddr *)&addr);
	inet_ntop(AF_INET6, bytes, text, sizeof(text));
	assert(reach_is_private_text(text) == private);
	return private;
}

static bool
is_private4(const uint8_t bytes[4])
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	char text[INET_ADDRSTRLEN];
	bool private;

	memcpy(&addr.sin_addr, bytes, 4);
	private = reach_is_private((const struct sockaddr *)&addr);
	inet_ntop(AF_INET, bytes, text, sizeof(text));
	assert(reach_is_private_text(text) == private);
	return private;
}

static void
check_address(const uint8_t bytes[16])
{
	uint8_t mapped[16] = { [10] = 0xff, [11] = 0xff };
	uint8_t nat64[16] = { 0, 0x64, 0xff, 0x9b };
	uint8_t sixtofour[16] = { 0x20, 0x02 };
	bool private4 = is_private4(bytes);

	memcpy(mapped + 12, bytes, 4);
	memcpy(nat64 + 12, bytes, 4);
	memcpy(sixtofour + 2, bytes, 4);
	assert(is_private6(mapped) == private4 && is_private6(nat64) == private4 &&
	       is_private6(sixtofour) == private4);
	assert(!is_private6(bytes) || bytes[0] != 0x2a);
	if (bytes[0] == 10 || bytes[0] == 127 || bytes[0] >= 224 || bytes[0] == 0)
		assert(private4);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);

	check_url(text);
	reach_is_private_text(text);
	if (size >= 16)
		check_address(data);
	free(text);
	return 0;
}
