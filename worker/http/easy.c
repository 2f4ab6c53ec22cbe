/*
 * How libcurl's easy handles are set up.
 */
#include "common/base/memory.h"
#include "common/config/config.h"
#include "worker/http/private.h"

/* bytes */
#define SMALL_BUFFER (64 << 10)
#define CONTROL_BUFFER (16 << 10)

/* RGW and many proxies close an idle connection after about 60 s. */
#define KEPT_SECONDS 45

/* While a store joins or copies a large object, its answer consists of blanks. */
#define COMPLETE_TIMEOUT_MS 600000

CURL *
http_easy_take(struct http *http, enum http_role role)
{
	CURL *easy;

	if (http->nidle[role] > 0)
		return http->idle[role][--http->nidle[role]];
	if ((easy = curl_easy_init()) == NULL)
		memory_exhausted(1);
	return easy;
}

void
http_easy_give(struct http *http, enum http_role role, CURL *easy)
{
	if (http->nidle[role] == HTTP_IDLE_MAX) {
		curl_easy_cleanup(easy);
		return;
	}
	curl_easy_reset(easy);
	http->idle[role][http->nidle[role]++] = easy;
}

/* The body is in memory. */
static void
set_fields(struct http_request *r)
{
	curl_easy_setopt(r->easy, CURLOPT_POST, 1L);
	curl_easy_setopt(r->easy, CURLOPT_POSTFIELDS, r->body != NULL ? r->body : "");
	curl_easy_setopt(r->easy, CURLOPT_POSTFIELDSIZE_LARGE,
	    (curl_off_t)(r->body != NULL ? r->call.content_length : 0));
}

/* The body is in memory, or comes piece by piece from http_on_send(). */
static void
set_upload(struct http_request *r)
{
	CURL *e = r->easy;

	if (r->body != NULL) {
		set_fields(r);
		curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, r->wire.method);
		return;
	}
	curl_easy_setopt(e, CURLOPT_UPLOAD, 1L);
	/* libcurl does not see bytes that are sent past it: http_direct_promise() states their
	 * number */
	curl_easy_setopt(e, CURLOPT_INFILESIZE_LARGE,
	    r->direct ? (curl_off_t)-1 : (curl_off_t)r->call.content_length);
	curl_easy_setopt(e, CURLOPT_READFUNCTION, http_on_send);
	curl_easy_setopt(e, CURLOPT_READDATA, r);
}

static void
set_method(struct http_request *r)
{
	CURL *e = r->easy;

	switch (r->call.op) {
	case OP_HEAD:
		curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
		break;
	case OP_GET:
	case OP_LIST_PARTS:
	case OP_LIST_UPLOADS:
		curl_easy_setopt(e, CURLOPT_HTTPGET, 1L);
		break;
	case OP_ABORT:
	case OP_DELETE:
		curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, r->wire.method);
		break;
	case OP_COPY:
	case OP_COPY_PART:
		/* no body, but a Content-Length of 0 */
		curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, r->wire.method);
		/* fall through */
	case OP_INITIATE:
	case OP_COMPLETE:
		set_fields(r);
		break;
	case OP_PUT:
	case OP_UPLOAD_PART:
		set_upload(r);
		break;
	}
}

/* Transfers of bodies have watchdogs of their own: 0, no limit. */
static long
timeout_ms(const struct http_request *r, const struct config_worker *conf)
{
	if (r->role != HTTP_CONTROL)
		return 0;
	if (r->call.op == OP_COMPLETE || r->call.op == OP_COPY || r->call.op == OP_COPY_PART)
		return conf->answer_timeout_ms > COMPLETE_TIMEOUT_MS ? (long)conf->answer_timeout_ms
								     : COMPLETE_TIMEOUT_MS;
	return (long)(conf->stall_timeout_ms + conf->connect_timeout_ms);
}

/*
 * If a kept connection ends before the first byte of an answer, libcurl sends the request again
 * without telling.  Requests that must not happen twice unnoticed get a new connection: Initiate,
 * and a conditional PUT without a body.
 */
static bool
is_once_only(const struct http_request *r)
{
	return r->call.op == OP_INITIATE ||
	       (r->call.op == OP_PUT && r->call.if_none_match_any && r->call.content_length == 0);
}

static void
set_buffers(struct http_request *r)
{
	static const long recv_buffers[] = {
		[BUFFERS_NORMAL] = WORKER_RECV_BUFFER,
		[BUFFERS_LARGE] = 2 * WORKER_RECV_BUFFER,
		[BUFFERS_SMALL] = SMALL_BUFFER,
	};
	long recv_buffer = recv_buffers[r->buffers];
	long send_buffer = r->direct                     ? CONTROL_BUFFER
			   : r->buffers == BUFFERS_SMALL ? SMALL_BUFFER
							 : WORKER_SEND_BUFFER;

	curl_easy_setopt(r->easy, CURLOPT_BUFFERSIZE,
	    r->role == HTTP_READER ? recv_buffer : (long)CONTROL_BUFFER);
	curl_easy_setopt(r->easy, CURLOPT_UPLOAD_BUFFERSIZE, send_buffer);
}

static void
set_connection(struct http_request *r, const struct config_worker *conf)
{
	CURL *e = r->easy;

	if (!r->store->resolve_taken)
		curl_easy_setopt(e, CURLOPT_RESOLVE, r->store->resolve);
	/* it replaces the system's trust: the directory too, in which libcurl looks as well */
	if (r->store->conf.ca_file[0] != '\0') {
		curl_easy_setopt(e, CURLOPT_CAINFO, r->store->conf.ca_file);
		curl_easy_setopt(e, CURLOPT_CAPATH, NULL);
	}
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(e, CURLOPT_CERTINFO, 1L); /* for when it ends */
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(e, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(e, CURLOPT_MAXAGE_CONN, (long)KEPT_SECONDS);
	curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, is_once_only(r) ? 1L : 0L);
	curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)conf->connect_timeout_ms);
	curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, timeout_ms(r, conf));
}

void
http_easy_set(struct http_request *r, const struct config_worker *conf)
{
	CURL *e = r->easy;

	curl_easy_setopt(e, CURLOPT_PRIVATE, r);
	curl_easy_setopt(e, CURLOPT_ERRORBUFFER, r->error);
	curl_easy_setopt(e, CURLOPT_URL, r->wire.url);
	curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(e, CURLOPT_HTTPHEADER, r->wire.headers);
	curl_easy_setopt(e, CURLOPT_USERAGENT, "ferryd/" FERRY_VERSION);
	curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, http_on_header);
	curl_easy_setopt(e, CURLOPT_HEADERDATA, r);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, http_on_write);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, r);
	set_connection(r, conf);
	set_buffers(r);
	http_socket_set(r);
	set_method(r);
}
