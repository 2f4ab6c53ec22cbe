/*
 * What changes a store leaves only while the lease holds: see lease.h.
 */
#include <sys/socket.h>

#include "worker/http_easy.h"
#include "worker/lease.h"

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

/* What the kernel still holds of a body that is broken off is not to arrive: the connection is reset, not closed. */
void
http_reset(struct http_request *r)
{
	struct linger none = { .l_onoff = 1, .l_linger = 0 };
	int fd = http_socket(r);

	if (fd != -1)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
}

size_t
http_on_send(char *buf, size_t size, size_t n, void *arg)
{
	struct http_request *r = arg;
	ssize_t got;

	if (!lease_holds(r->http->worker)) {
		lease_failure(&r->refused);
		return CURL_READFUNC_ABORT;
	}
	got = r->direct ? http_direct_read(r) : r->on_read(r, buf, size * n);

	if (got == HTTP_READ_PAUSE)
		return CURL_READFUNC_PAUSE;
	return got < 0 ? CURL_READFUNC_ABORT : (size_t)got;
}

/* Not to arrive: what has been written into the socket and not sent yet goes with the connection. */
static void
http_cut(struct http_request *r)
{
	http_reset(r);
	http_direct_forget(r);
	curl_multi_remove_handle(r->http->multi, r->easy);
	lease_failure(&r->refused);
	r->done = true;
	r->active = false;
}

void
http_fence(struct http *http)
{
	struct http_request *r;

	if (lease_holds(http->worker))
		return;
	LIST_FOREACH (r, &http->writing, writing) {
		if (r->done)
			continue;
		http_cut(r);
		http->fresh = true;
	}
}
