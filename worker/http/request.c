#include "worker/http/request.h"

#include <assert.h>
#include <string.h>
#include <sysexits.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "worker/http/answer.h"
#include "worker/http/fence.h"
#include "worker/http/private.h"
#include "worker/session/lease.h"
#include "worker/store/request.h"

/* Empties what an earlier start and its answer have left. */
static void
reset(struct http_request *r)
{
	r->state = HTTP_IDLE;
	r->enough = r->sent = false;
	r->status = 0;
	r->error[0] = '\0';
	r->header_bytes = r->document_bytes = 0;
	r->head_over = false;
	r->foreign = NULL;
	r->sample[0] = '\0';
	r->nsample = 0;
	r->fd = -1;
	r->here.port = 0;
	r->direct_sent = 0;
	r->direct_blocked = false;
	r->direct_state = DIRECT_SENDING;
	object_info_clear(&r->info);
	failure_init(&r->refused);
}

int
http_start(struct http *http, struct http_request *r, struct failure *f)
{
	char why[256];

	assert(r->state != HTTP_ACTIVE);
	if (http_writes(r) && !lease_holds(http->worker)) {
		lease_failure(f);
		return -1;
	}
	reset(r);
	r->http = http;
	r->keys_serial = r->store->keys_serial;
	r->call.now = clock_wall() + (time_t)r->store->skew_s;
	if (config_awaits_keys(&r->store->conf)) {
		http_failure(r, f, CLASS_CREDENTIALS, "there are no keys yet");
		failure_blame(f, TROUBLE_NODE);
		http_await_keys(r, f);
		return -1;
	}
	if (store_build(&r->store->conf, &r->call, &r->wire, why, sizeof(why)) == -1) {
		strlcpy(f->store, r->store->conf.name, sizeof(f->store));
		return failure_set(f, CLASS_PERMANENT, "%s: %s", r->store->conf.name, why);
	}
	r->direct = r->direct && http_direct_promise(r);
	r->easy = http_easy_take(http, r->role);
	http_easy_set(r, &http->worker->setup->config.worker);
	if (curl_multi_add_handle(http->multi, r->easy) != CURLM_OK)
		fatal(EX_SOFTWARE, "libcurl does not take the request");
	r->state = HTTP_ACTIVE;
	http->fresh = true;
	if (http_writes(r))
		LIST_INSERT_HEAD(&http->writing, r, writing);
	return 0;
}

void
http_abort(struct http_request *r)
{
	long sent = 0;

	if (r->easy == NULL)
		return;
	if (http_writes(r))
		LIST_REMOVE(r, writing);
	curl_easy_getinfo(r->easy, CURLINFO_REQUEST_SIZE, &sent);
	r->sent = sent > 0;
	if (r->state == HTTP_ACTIVE && r->sent)
		http_count(r);
	if (r->state == HTTP_ACTIVE && r->role == HTTP_WRITER)
		http_reset(r);
	http_direct_forget(r);
	curl_multi_remove_handle(r->http->multi, r->easy);
	/* since libcurl 8.7 a failed request leaves marks that curl_easy_reset() does not clear */
	if (r->state == HTTP_DONE && r->result == CURLE_OK)
		http_easy_give(r->http, r->role, r->easy);
	else
		curl_easy_cleanup(r->easy);
	r->easy = NULL;
	if (r->state == HTTP_ACTIVE)
		r->state = HTTP_IDLE;
}

int
http_result(struct http_request *r, struct failure *f)
{
	assert(http_is_done(r));
	failure_init(f);
	http_classify_result(r, f);
	http_abort(r);
	return f->class == CLASS_NONE ? 0 : -1;
}

void
http_release(struct http_request *r)
{
	http_abort(r);
	store_request_release(&r->wire);
	object_info_release(&r->info);
	if (r->xml_open)
		s3xml_release(&r->xml);
	r->xml_open = false;
	r->state = HTTP_IDLE;
}

bool
http_did_nothing(const struct http_request *r)
{
	/* a proxy gives these, too, when it waits no longer for the store's answer */
	if (r->sent && (r->status == 408 || r->status == 503))
		return r->xml_open && r->xml.root == S3XML_ERROR;
	return !r->sent || (r->status >= 300 && r->status < 500);
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
		fatal(EX_SOFTWARE, "curl_multi_poll() fails");
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
		fatal(EX_SOFTWARE, "curl_multi_perform() fails");
	while ((msg = curl_multi_info_read(http->multi, &left)) != NULL) {
		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&r);
		r->result = msg->data.result;
		r->state = HTTP_DONE;
		http_count(r);
	}
}
