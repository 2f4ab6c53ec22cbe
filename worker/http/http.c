#include "worker/http/http.h"

#include <string.h>

#include "common/base/memory.h"
#include "worker/http/private.h"

/* Connections in use count too: with fewer kept, one would be closed after each part. */
#define CONNECTIONS_KEPT (2 * CONFIG_STREAMS_MAX + 4)

struct http *
http_new(struct worker *w)
{
	struct http *http = memory_alloc(sizeof(*http));

	http->worker = w;
	if ((http->multi = curl_multi_init()) == NULL)
		memory_exhausted(1);
	curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_KEPT);
	curl_multi_setopt(http->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
	return http;
}

void
http_free(struct http *http)
{
	int role, i;

	if (http == NULL)
		return;
	for (role = 0; role < HTTP_ROLES; role++) {
		for (i = 0; i < http->nidle[role]; i++)
			curl_easy_cleanup(http->idle[role][i]);
	}
	curl_multi_cleanup(http->multi);
	memory_free(http->sockets);
	memory_free(http);
}

void
http_prepare(struct http_request *r, struct store *store, enum store_op op)
{
	memset(r, 0, offsetof(struct http_request, refused));
	r->xml.root = S3XML_NONE;
	r->store = store;
	r->call.op = op;
	r->call.range_last = -1;
	r->fd = -1;
	object_info_init(&r->info);
	failure_init(&r->refused);
}

bool
http_lists(const struct http_request *r)
{
	return r->call.op == OP_LIST_PARTS || r->call.op == OP_LIST_UPLOADS;
}

bool
http_writes(const struct http_request *r)
{
	return r->call.op != OP_GET && r->call.op != OP_HEAD && !http_lists(r);
}

void
http_unpause(struct http_request *r)
{
	CURLcode rc;

	if (r->state != HTTP_ACTIVE)
		return;
	/* libcurl may call back with bytes that it kept, and the callback may refuse them */
	rc = curl_easy_pause(r->easy, CURLPAUSE_CONT);
	if (rc != CURLE_OK) {
		r->result = rc;
		r->state = HTTP_DONE;
	}
}

void
http_hold(struct http_request *r)
{
	/* if only reading is paused, libcurl polls without waiting, although a GET sends nothing */
	curl_easy_pause(r->easy, CURLPAUSE_ALL);
}

const char *
http_redirect(const struct http_request *r)
{
	char *url = NULL;

	if (r->easy == NULL || r->status < 300 || r->status > 399)
		return NULL;
	curl_easy_getinfo(r->easy, CURLINFO_REDIRECT_URL, &url);
	return url;
}
