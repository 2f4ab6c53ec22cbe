/*
 * libcurl's easy handles: options and outcomes.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "worker/http_easy.h"
#include "worker/memory.h"

#define HTTP_SMALL_BUFFER (64 << 10)
#define HTTP_CONTROL_BUFFER (16 << 10)
#define HTTP_SKEW_MIN_S 30
#define HTTP_SKEW_MAX_S 86400
#define HTTP_KEPT_SECONDS 45	      /* RGW and many proxies close an idle connection after 60 s or so */
#define HTTP_COMPLETE_TIMEOUT_MS 600000 /* a large object is put together, or copied, while the answer's blanks come */

static const char *const http_op_names[] = {
	[OP_HEAD] = "HEAD",
	[OP_GET] = "GET",
	[OP_PUT] = "PUT",
	[OP_INITIATE] = "InitiateMultipartUpload",
	[OP_UPLOAD_PART] = "UploadPart",
	[OP_COMPLETE] = "CompleteMultipartUpload",
	[OP_ABORT] = "AbortMultipartUpload",
	[OP_LIST_PARTS] = "ListParts",
	[OP_LIST_UPLOADS] = "ListMultipartUploads",
	[OP_DELETE] = "DELETE",
	[OP_COPY] = "CopyObject",
	[OP_COPY_PART] = "UploadPartCopy",
};

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

/* A body that is in memory. */
static void
http_easy_set_fields(struct http_request *r)
{
	curl_easy_setopt(r->easy, CURLOPT_POST, 1L);
	curl_easy_setopt(r->easy, CURLOPT_POSTFIELDS, r->body != NULL ? r->body : "");
	curl_easy_setopt(r->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(r->body != NULL ? r->call.content_length : 0));
}

static void
http_easy_set_body(struct http_request *r)
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
		/* without a body, but with its length, 0 */
		curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, r->wire.method);
		/* fall through */
	case OP_INITIATE:
	case OP_COMPLETE:
		http_easy_set_fields(r);
		break;
	case OP_PUT:
	case OP_UPLOAD_PART:
		if (r->body != NULL) {
			http_easy_set_fields(r);
			curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, r->wire.method);
			break;
		}
		curl_easy_setopt(e, CURLOPT_UPLOAD, 1L);
		/* libcurl sees none of the bytes that are sent past it: they are promised by a header of ours */
		curl_easy_setopt(e, CURLOPT_INFILESIZE_LARGE, r->direct ? (curl_off_t)-1 : (curl_off_t)r->call.content_length);
		curl_easy_setopt(e, CURLOPT_READFUNCTION, http_on_send);
		curl_easy_setopt(e, CURLOPT_READDATA, r);
		break;
	}
}

/* Only what has no watchdog of its own gets a time limit. */
static long
http_easy_timeout(const struct http_request *r, const struct config_worker *conf)
{
	if (r->role != HTTP_CONTROL)
		return 0;
	if (r->call.op == OP_COMPLETE || r->call.op == OP_COPY || r->call.op == OP_COPY_PART)
		return HTTP_COMPLETE_TIMEOUT_MS;
	return (long)(conf->stall_timeout_ms + conf->connect_timeout_ms);
}

/*
 * When a kept connection ends before the first byte of an answer, libcurl sends the request again of its own accord.  What is not
 * to happen twice unnoticed therefore gets a new connection: Initiate, and a conditional PUT that has no body to be sent again.
 */
static bool
http_is_once_only(const struct http_request *r)
{
	return r->call.op == OP_INITIATE ||
	    (r->call.op == OP_PUT && r->call.if_none_match_any && r->call.content_length == 0);
}

void
http_easy_set(struct http_request *r, const struct config_worker *conf)
{
	static const long recv_buffers[] = {
		[BUFFERS_NORMAL] = WORKER_RECV_BUFFER,
		[BUFFERS_LARGE] = 2 * WORKER_RECV_BUFFER,
		[BUFFERS_SMALL] = HTTP_SMALL_BUFFER,
	};
	long recv_buffer = recv_buffers[r->buffers];
	long send_buffer = r->direct ? HTTP_CONTROL_BUFFER : r->buffers == BUFFERS_SMALL ? HTTP_SMALL_BUFFER : WORKER_SEND_BUFFER;
	CURL *e = r->easy;

	curl_easy_setopt(e, CURLOPT_PRIVATE, r);
	curl_easy_setopt(e, CURLOPT_ERRORBUFFER, r->error);
	curl_easy_setopt(e, CURLOPT_URL, r->wire.url);
	curl_easy_setopt(e, CURLOPT_HTTPHEADER, r->wire.headers);
	if (!r->store->resolve_taken)
		curl_easy_setopt(e, CURLOPT_RESOLVE, r->store->resolve);
	if (r->store->conf.ca_file[0] != '\0')
		curl_easy_setopt(e, CURLOPT_CAINFO, r->store->conf.ca_file);
	curl_easy_setopt(e, CURLOPT_USERAGENT, "ferryd/" FERRY_VERSION);
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(e, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(e, CURLOPT_MAXAGE_CONN, (long)HTTP_KEPT_SECONDS);
	curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, http_is_once_only(r) ? 1L : 0L);
	curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)conf->connect_timeout_ms);
	curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, http_easy_timeout(r, conf));
	curl_easy_setopt(e, CURLOPT_BUFFERSIZE, r->role == HTTP_READER ? recv_buffer : (long)HTTP_CONTROL_BUFFER);
	curl_easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE, send_buffer);
	curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, http_on_header);
	curl_easy_setopt(e, CURLOPT_HEADERDATA, r);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, http_on_write);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, r);
	http_socket_set(r);
	http_easy_set_body(r);
}

int
http_failure(const struct http_request *r, struct failure *f, enum error_class class, const char *fmt, ...)
{
	char text[TASK_ERROR_MAX], op[64];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (r->call.op == OP_UPLOAD_PART || r->call.op == OP_COPY_PART)
		snprintf(op, sizeof(op), "%s %d", http_op_names[r->call.op], r->call.part_number);
	else
		strlcpy(op, http_op_names[r->call.op], sizeof(op));
	strlcpy(f->store, r->store->conf.name, sizeof(f->store));
	f->status = r->status;
	return failure_set(f, class, "%s: %s: %s", r->store->conf.name, op, text);
}

static void
http_classify_curl(struct http_request *r, struct failure *f)
{
	enum error_class class = CLASS_TRANSIENT;

	switch (r->result) {
	case CURLE_OUT_OF_MEMORY:
		memory_exhausted(0);
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_ISSUER_ERROR:
		class = CLASS_PERMANENT;
		break;
	default:
		break;
	}
	http_failure(r, f, class, "%s", r->error[0] != '\0' ? r->error : curl_easy_strerror(r->result));
}

/* A store that sends us elsewhere would have each request sent twice, and signed for another place: that is to be configured. */
static bool
http_is_sent_elsewhere(const struct http_request *r)
{
	return r->store->conf.kind != STORE_HTTP && (r->status == 301 || r->status == 302 || r->status == 307 || r->status == 308);
}

/*
 * Signatures carry the time, and stores bear with some minutes.  A refusal whose Date is far from the time that we sign by is answered
 * by signing by the store's clock; it need not say so, since that to a HEAD has no document.  Should it have meant our keys, it says so
 * again.  Nobody makes us sign for another day.
 */
static bool
http_learn_skew(struct http_request *r)
{
	int64_t skew = r->info.date - clock_wall();

	if (r->status != 403 || r->info.date < 0 || r->store->conf.access_key[0] == '\0' || llabs(skew) > HTTP_SKEW_MAX_S ||
	    llabs(skew - r->store->skew_s) < HTTP_SKEW_MIN_S)
		return false;
	r->store->skew_s = skew;
	log_warn("store %s: its clock is %" PRId64 " s %s ours; requests are signed by its clock", r->store->conf.name,
	    skew < 0 ? -skew : skew, skew < 0 ? "behind" : "ahead of");
	return true;
}

static void
http_classify_status(struct http_request *r, struct failure *f)
{
	const char *code = "", *message = "";
	enum error_class class;
	char why[128];

	/* many errors come without a document, or with somebody else's */
	if (r->xml_open && s3xml_finish(&r->xml, why, sizeof(why)) == 0 && r->xml.root == S3XML_ERROR) {
		code = r->xml.code;
		message = r->xml.message;
	}
	class = http_learn_skew(r) ? CLASS_TRANSIENT : store_classify(r->status, code, r->call.op);
	if (http_is_sent_elsewhere(r)) {
		http_failure(r, f, CLASS_PERMANENT,
		    "HTTP %d: the bucket is elsewhere, at %.*s; set endpoint and region of store %s", r->status,
		    r->info.location[0] != '\0' ? (int)strcspn(r->info.location, "?") : 7,
		    r->info.location[0] != '\0' ? r->info.location : "unknown", r->store->conf.name);
		return;
	}
	http_failure(r, f, class, "%sHTTP %d%s%s%s%s", class == CLASS_SOURCE_CHANGED ? "source changed: " : "", r->status,
	    code[0] != '\0' ? " " : "", code, message[0] != '\0' ? ": " : "", message);
	strlcpy(f->code, code, sizeof(f->code));
	f->retry_after = r->info.retry_after;
}

void
http_classify_result(struct http_request *r, struct failure *f)
{
	if (r->refused.class != CLASS_NONE) {
		http_failure(r, f, r->refused.class, "%s", r->refused.text);
		f->lapsed = r->refused.lapsed;
		return;
	}
	/* an error's status counts even if the rest of it did not come, or our body was not taken to its end */
	if (r->status >= 300) {
		http_classify_status(r, f);
		return;
	}
	if (r->result != CURLE_OK && !r->enough)
		http_classify_curl(r, f);
}
