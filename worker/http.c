/*
 * Requests on the multi handle: from the built request to the answer taken apart.
 */
#include <assert.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sysexits.h>

#include "common/clock.h"
#include "common/log.h"
#include "worker/http.h"
#include "worker/http_easy.h"
#include "worker/lease.h"
#include "worker/loop.h"
#include "worker/memory.h"

#define HTTP_HEADERS_MAX (64 << 10)
#define HTTP_ERROR_DOCUMENT_MAX (64 << 10)
#define HTTP_DOCUMENT_MAX (4 << 20) /* ListParts, and Complete with its blanks */

struct http *
http_new(struct worker *w)
{
	struct http *http = memory_alloc(sizeof(*http));

	http->worker = w;
	if ((http->multi = curl_multi_init()) == NULL)
		memory_exhausted(1);
	curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, (long)HTTP_CONNECTIONS_KEPT);
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

/* What the server takes to answer, where no body of ours has to be taken before: small answers soon count, large ones slowly. */
static void
http_note_answer(struct http_request *r)
{
	curl_off_t sent = 0, first = 0;
	int64_t *known = &r->store->answer_us;

	if (r->role == HTTP_WRITER || r->call.op == OP_COMPLETE)
		return;
	if (curl_easy_getinfo(r->easy, CURLINFO_PRETRANSFER_TIME_T, &sent) != CURLE_OK ||
	    curl_easy_getinfo(r->easy, CURLINFO_STARTTRANSFER_TIME_T, &first) != CURLE_OK || first <= sent)
		return;
	if (*known == 0 || first - sent < *known)
		*known = first - sent;
	else
		*known += (first - sent - *known) / 8;
}

/* A new status line: what came before was an interim answer. */
static void
http_take_status(struct http_request *r, const char *line, size_t len)
{
	char text[64];
	const char *blank;

	if (len >= sizeof(text))
		len = sizeof(text) - 1;
	memcpy(text, line, len);
	text[len] = '\0';
	blank = strchr(text, ' ');
	r->status = blank != NULL ? (int)strtol(blank, NULL, 10) : 0;
	object_info_init(&r->info);
	http_note_answer(r);
}

size_t
http_on_header(char *buf, size_t size, size_t n, void *arg)
{
	struct http_request *r = arg;
	size_t len = size * n, name_len;
	char line[HTTP_LINE_MAX];
	char *colon, *value;

	r->header_bytes += len;
	if (r->header_bytes > HTTP_HEADERS_MAX) {
		failure_set(&r->refused, CLASS_PERMANENT, "response headers of more than %d KiB", HTTP_HEADERS_MAX >> 10);
		return 0;
	}
	while (len > 0 && strchr("\r\n \t", buf[len - 1]) != NULL)
		len--;
	if (len >= 5 && strncasecmp(buf, "HTTP/", 5) == 0) {
		http_take_status(r, buf, len);
		return size * n;
	}
	/* a longer one is none that we know, and a NUL in it is none that we trust */
	if (len == 0 || len >= sizeof(line) || memchr(buf, '\0', len) != NULL ||
	    (colon = memchr(buf, ':', len)) == NULL)
		return size * n;
	memcpy(line, buf, len);
	line[len] = '\0';
	name_len = (size_t)(colon - buf);
	for (value = line + name_len + 1; *value == ' ' || *value == '\t'; value++)
		continue;
	while (name_len > 0 && strchr(" \t", line[name_len - 1]) != NULL)
		name_len--;
	line[name_len] = '\0';
	if (value > line + name_len)
		store_take_header(&r->store->conf, &r->info, line, value);
	return size * n;
}

static bool
http_is_success(const struct http_request *r)
{
	return r->status >= 200 && r->status < 300;
}

/* Documents: of errors always, of successes where the operation has one. */
static bool
http_wants_xml(const struct http_request *r)
{
	if (!http_is_success(r))
		return true;
	return r->call.op == OP_INITIATE || r->call.op == OP_COMPLETE || r->call.op == OP_COPY ||
	    r->call.op == OP_COPY_PART || http_lists(r);
}

static size_t
http_take_document(struct http_request *r, const char *buf, size_t len)
{
	size_t max = http_is_success(r) ? HTTP_DOCUMENT_MAX : HTTP_ERROR_DOCUMENT_MAX;

	r->document_bytes += len;
	if (r->document_bytes > max) {
		if (http_is_success(r))
			failure_set(&r->refused, CLASS_TRANSIENT, "an answer of more than %zu KiB", max >> 10);
		return 0;
	}
	if (!r->xml_open) {
		if (s3xml_init(&r->xml, http_lists(r) && http_is_success(r)) == -1)
			memory_exhausted(sizeof(r->xml));
		r->xml_open = true;
	}
	/* what is wrong with it is said at its end */
	s3xml_feed(&r->xml, buf, len);
	return len;
}

size_t
http_on_write(char *buf, size_t size, size_t n, void *arg)
{
	struct http_request *r = arg;
	size_t len = size * n;

	if (http_wants_xml(r))
		return http_take_document(r, buf, len);
	if (r->on_body == NULL)
		return len;
	switch (r->on_body(r, buf, len)) {
	case HTTP_TAKEN:
		return len;
	case HTTP_PAUSE:
		return CURL_WRITEFUNC_PAUSE;
	case HTTP_ENOUGH:
		r->enough = true;
		return 0;
	case HTTP_REFUSE:
		break;
	}
	return 0;
}

int
http_start(struct http *http, struct http_request *r, struct failure *f)
{
	char why[256];

	assert(!r->active);
	if (http_writes(r) && !lease_holds(http->worker)) {
		lease_failure(f);
		return -1;
	}
	r->done = r->enough = r->sent = false;
	r->status = 0;
	r->error[0] = '\0';
	r->header_bytes = r->document_bytes = 0;
	r->fd = -1;
	r->here.port = 0;
	r->direct_sent = 0;
	r->direct_blocked = false;
	r->direct_state = DIRECT_SENDING;
	object_info_init(&r->info);
	failure_init(&r->refused);
	r->call.now = clock_wall() + (time_t)r->store->skew_s;
	if (store_build(&r->store->conf, &r->call, &r->wire, why, sizeof(why)) == -1) {
		strlcpy(f->store, r->store->conf.name, sizeof(f->store));
		return failure_set(f, CLASS_PERMANENT, "%s: %s", r->store->conf.name, why);
	}
	r->http = http;
	r->direct = r->direct && http_direct_promise(r);
	r->easy = http_easy_take(http, r->role);
	http_easy_set(r, &http->worker->setup->config.worker);
	if (curl_multi_add_handle(http->multi, r->easy) != CURLM_OK)
		fatal(EX_SOFTWARE, "a request cannot be added");
	r->active = http->fresh = true;
	if (http_writes(r))
		LIST_INSERT_HEAD(&http->writing, r, writing);
	return 0;
}

/* Out of the multi handle; a request that was still under way loses its connection. */
static void
http_detach(struct http_request *r)
{
	long sent = 0;

	if (r->easy == NULL)
		return;
	if (http_writes(r))
		LIST_REMOVE(r, writing);
	curl_easy_getinfo(r->easy, CURLINFO_REQUEST_SIZE, &sent);
	r->sent = sent > 0;
	if (r->active && r->role == HTTP_WRITER)
		http_reset(r);
	http_direct_forget(r);
	curl_multi_remove_handle(r->http->multi, r->easy);
	http_easy_give(r->http, r->role, r->easy);
	r->easy = NULL;
	r->active = false;
}

int
http_result(struct http_request *r, struct failure *f)
{
	char why[128];

	assert(r->done);
	failure_init(f);
	http_classify_result(r, f);
	http_detach(r);
	if (f->class == CLASS_NONE && r->xml_open && !r->enough && s3xml_finish(&r->xml, why, sizeof(why)) == -1)
		http_failure(r, f, CLASS_TRANSIENT, "the answer is not the document that it should be: %s", why);
	else if (f->class == CLASS_NONE && http_wants_xml(r) && !r->xml_open)
		http_failure(r, f, CLASS_TRANSIENT, "the answer is empty");
	return f->class == CLASS_NONE ? 0 : -1;
}

void
http_release(struct http_request *r)
{
	http_detach(r);
	store_request_release(&r->wire);
	if (r->xml_open)
		s3xml_release(&r->xml);
	r->xml_open = false;
	r->done = false;
}

static bool
http_is_done(void *arg, int64_t *wake)
{
	const struct http_request *r = arg;

	(void)wake;
	return r->done;
}

bool
http_did_nothing(const struct http_request *r)
{
	return !r->sent || (r->status >= 300 && r->status < 500) || r->status == 503;
}

/* An Initiate whose answer was lost or cannot be read may have begun an upload of which nobody knows: one is enough. */
static bool
http_may_repeat(const struct http_request *r)
{
	return r->call.op != OP_INITIATE || http_did_nothing(r);
}

int
http_once(struct worker *w, struct http_request *r, struct failure *f)
{
	failure_init(f);
	if (http_writes(r) && lease_await(w) == -1)
		return -1;
	if (http_start(w->http, r, f) == -1)
		return -1;
	if (loop_wait(w, http_is_done, r, 0) == -1) {
		http_detach(r);
		return -1;
	}
	return http_result(r, f);
}

int
http_call(struct worker *w, struct http_request *r, struct failure *f)
{
	int64_t at;
	int tries = 0;

	for (;;) {
		if (http_once(w, r, f) == 0)
			return 0;
		at = http_may_repeat(r) ? failure_retry_at(f, ++tries, clock_ms()) : 0;
		if (at == 0)
			return -1;
		http_release(r);
		if (loop_wait(w, loop_never, NULL, at) == -1) {
			failure_init(f);
			return -1;
		}
	}
}

int
http_insist(struct worker *w, struct http_request *r, int64_t deadline, struct failure *f)
{
	if (http_start(w->http, r, f) == -1)
		return -1;
	if (loop_insist(w, http_is_done, r, deadline) != 0) {
		http_detach(r);
		return http_failure(r, f, CLASS_TRANSIENT, "no answer in time");
	}
	return http_result(r, f);
}

void
http_unpause(struct http_request *r)
{
	CURLcode rc;

	if (!r->active || r->done)
		return;
	/* it may call back with what was kept, and that may be refused */
	rc = curl_easy_pause(r->easy, CURLPAUSE_CONT);
	if (rc != CURLE_OK) {
		r->result = rc;
		r->done = true;
		r->active = false;
	}
}

void
http_hold(struct http_request *r)
{
	/* both directions: a GET sends nothing, and with one of them running libcurl would look again at once */
	curl_easy_pause(r->easy, CURLPAUSE_ALL);
}

int64_t
http_sent(const struct http_request *r)
{
	curl_off_t bytes = 0;

	if (r->easy != NULL)
		curl_easy_getinfo(r->easy, CURLINFO_SIZE_UPLOAD_T, &bytes);
	return bytes + r->direct_sent;
}

int64_t
http_arrived(const struct http_request *r)
{
	int64_t bytes = http_sent(r);
	int fd = r->easy == NULL ? -1 : r->fd != -1 ? r->fd : http_socket(r), held = 0;

	if (fd != -1)
		ioctl(fd, SIOCOUTQ, &held);
	return bytes > held ? bytes - held : 0;
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

bool
http_is_fresh(const struct http *http)
{
	return http->fresh;
}

void
http_poll(struct http *http, struct curl_waitfd *fds, unsigned n, int timeout_ms)
{
	n += http_direct_wait(http, fds + n);
	if (curl_multi_poll(http->multi, fds, n, timeout_ms, NULL) != CURLM_OK)
		fatal(EX_SOFTWARE, "libcurl cannot wait");
}

void
http_perform(struct http *http)
{
	struct http_request *r;
	struct CURLMsg *msg;
	int running, left;

	http_fence(http);
	http->fresh = false;
	if (curl_multi_perform(http->multi, &running) != CURLM_OK)
		fatal(EX_SOFTWARE, "libcurl cannot go on");
	while ((msg = curl_multi_info_read(http->multi, &left)) != NULL) {
		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&r);
		r->result = msg->data.result;
		r->done = true;
		r->active = false;
	}
}
