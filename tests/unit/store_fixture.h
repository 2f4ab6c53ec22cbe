/*
 * Stores, and a server's view of requests.  Shared by the tests of worker/store.
 */
#ifndef TESTS_UNIT_STORE_FIXTURE_H
#define TESTS_UNIT_STORE_FIXTURE_H

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/tap.h"
#include "worker/sign/sign.h"
#include "worker/store/request.h"
#include "worker/store/store.h"

#define NOW 1700000000

static const struct config_store ceph = { .name = "ceph",
	.kind = STORE_S3,
	.endpoint = "http://rgw.internal:7480",
	.region = "default",
	.access_key = "AKIAIOSFODNN7EXAMPLE",
	.secret_key = "wJalrXUtnFEMI" };
static const struct config_store aws = { .name = "aws",
	.kind = STORE_S3,
	.addressing = ADDRESSING_VIRTUAL,
	.endpoint = "https://s3.eu-central-1.amazonaws.com",
	.region = "eu-central-1",
	.access_key = "AKIAIOSFODNN7EXAMPLE",
	.secret_key = "wJalrXUtnFEMI",
	.session_token = "tok/en+=" };
static const struct config_store cos_store = { .name = "cos",
	.kind = STORE_COS,
	.endpoint = "https://cos.ap-guangzhou.myqcloud.com",
	.region = "ap-guangzhou",
	.access_key = "AKIDQjz3",
	.secret_key = "BQYIM75p8x",
	.session_token = "tok/en+=" };
static const struct config_store open_store = {
	.name = "open", .kind = STORE_S3, .endpoint = "https://Open.Example:443"
};
static const struct config_store http = { .name = "https", .kind = STORE_HTTP };

static char why[256];

/* The value of a header in the list; "(none)"; or "(suppressed)" for "Name:". */
static inline const char *
header(const struct store_request *req, const char *name)
{
	size_t len = strlen(name);

	for (const struct curl_slist *h = req->headers; h != NULL; h = h->next) {
		if (strncasecmp(h->data, name, len) != 0)
			continue;
		if (strcmp(h->data + len, ";") == 0)
			return "";
		if (strcmp(h->data + len, ":") == 0)
			return "(suppressed)";
		if (strncmp(h->data + len, ": ", 2) == 0)
			return h->data + len + 2;
	}
	return "(none)";
}

/* One part of the URL as libcurl takes it apart. */
static inline char *
url_part(const char *url, CURLUPart part, unsigned flags)
{
	CURLU *u = curl_url();
	char *s = NULL;

	if (curl_url_set(u, CURLUPART_URL, url, CURLU_PATH_AS_IS) == CURLUE_OK)
		curl_url_get(u, part, &s, flags);
	curl_url_cleanup(u);
	return s;
}

/* The Host header of libcurl: with the port if it is not the scheme's own. */
static inline void
host_of(const char *url, char *out, size_t size)
{
	char *host = url_part(url, CURLUPART_HOST, 0);
	char *port = url_part(url, CURLUPART_PORT, CURLU_NO_DEFAULT_PORT);

	snprintf(out, size, "%s%s%s", host != NULL ? host : "?", port != NULL ? ":" : "",
	    port != NULL ? port : "");
	curl_free(host);
	curl_free(port);
}

/* Takes the query apart, in place, into req. */
static inline void
take_query(struct sign_request *req, char *query)
{
	char *pair, *value;

	while (query != NULL && (pair = strsep(&query, "&")) != NULL) {
		value = strchr(pair, '=');
		if (value != NULL)
			*value++ = '\0';
		req->query[req->nquery++] = (struct sign_pair){ curl_unescape(pair, 0),
			value != NULL ? curl_unescape(value, 0) : curl_unescape("", 0) };
	}
}

/* True if list, names in lower case between ';', has name. */
static inline bool
is_listed(const char *list, const char *name)
{
	size_t len = strlen(name);

	while (*list != '\0') {
		if (strncasecmp(list, name, len) == 0 && (list[len] == ';' || list[len] == '\0'))
			return true;
		list += strcspn(list, ";");
		list += *list == ';';
	}
	return false;
}

static inline void
take_headers(struct sign_request *req, const struct store_request *sent, const char *list)
{
	for (const struct curl_slist *h = sent->headers; h != NULL; h = h->next) {
		size_t len = strcspn(h->data, ":;");
		bool empty = h->data[len] == ';';
		char *name = strndup(h->data, len);

		if ((!empty && h->data[len + 1] == '\0') || !is_listed(list, name)) {
			free(name);
			continue;
		}
		req->headers[req->nheaders++] =
		    (struct sign_pair){ name, empty ? "" : h->data + len + 2 };
	}
}

/*
 * Signs the request again as it arrives: host, path and query of the URL, and the headers that the
 * signature names.  Returns true if the result is the request's Authorization.
 */
static inline bool
verifies(const struct config_store *store, const struct store_request *sent)
{
	const struct sign_key key = { store->access_key, store->secret_key, store->region };
	const char *had = header(sent, "Authorization");
	const char *mark = store->kind == STORE_COS ? "q-header-list=" : "SignedHeaders=";
	const char *names = strstr(had, mark);
	char host[512], out[SIGN_AUTHORIZATION_MAX], list[SIGN_AUTHORIZATION_MAX];
	char *path = url_part(sent->url, CURLUPART_PATH, 0),
	     *query = url_part(sent->url, CURLUPART_QUERY, 0);
	struct sign_request req = { .method = sent->method };
	bool same;

	if (names == NULL)
		return false;
	names += strlen(mark);
	snprintf(list, sizeof(list), "%.*s", (int)strcspn(names, ",&"), names);
	host_of(sent->url, host, sizeof(host));
	req.path = curl_unescape(path, 0);
	take_query(&req, query);
	take_headers(&req, sent, list);
	req.headers[req.nheaders++] = (struct sign_pair){ strdup("host"), host };
	same = store->kind == STORE_COS
		   ? sign_cos(&req, &key, &(struct sign_period){ NOW - 60, NOW + 900 }, out,
			 sizeof(out)) == 0
		   : sign_v4(&req, &key, NOW, out, sizeof(out)) == 0;
	same = same && strcmp(out, had) == 0;
	if (!same)
		printf("# sent   %s\n# should %s\n", had, out);
	for (int i = 0; i < req.nheaders; i++)
		free((char *)(uintptr_t)req.headers[i].name);
	for (int i = 0; i < req.nquery; i++) {
		curl_free((char *)(uintptr_t)req.query[i].name);
		curl_free((char *)(uintptr_t)req.query[i].value);
	}
	curl_free((char *)(uintptr_t)req.path);
	curl_free(path);
	curl_free(query);
	return same;
}

#endif
