#include "worker/http/fence.h"

#include <sys/socket.h>

#include "worker/http/private.h"
#include "worker/session/lease.h"

void
http_reset(struct http_request *r)
{
	struct linger none = { .l_onoff = 1, .l_linger = 0 };
	int fd = http_socket(r);

	if (fd != -1)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
}

/* Resets the connection, so that bytes which the kernel still holds do not arrive. */
static void
cut(struct http_request *r)
{
	http_reset(r);
	http_direct_forget(r);
	curl_multi_remove_handle(r->http->multi, r->easy);
	lease_failure(&r->refused);
	r->result = CURLE_ABORTED_BY_CALLBACK;
	r->state = HTTP_DONE;
}

void
http_fence(struct http *http)
{
	struct http_request *r;

	if (lease_holds(http->worker))
		return;
	LIST_FOREACH (r, &http->writing, writing) {
		if (r->state == HTTP_DONE)
			continue;
		cut(r);
		http->fresh = true;
	}
}
