/*
 * Large bodies past libcurl's buffer: libcurl connects, sends the head and reads the answer; the bytes between go from the
 * caller's memory into the socket, which saves a copy of each and a buffer for each stream.
 *
 * libcurl is told that the size of the upload is not known, and asks for its first bytes when the head has left: that is
 * when the socket is taken, and libcurl's sending paused.  When all is sent it asks again, and is told that there is no more.
 * A kept connection that ends before the first byte of an answer would make it send the request again: then it asks once
 * more than it should, and is refused, since the bytes are gone.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>

#include "worker/http.h"
#include "worker/http_easy.h"
#include "worker/lease.h"
#include "worker/memory.h"

void
http_direct_forget(struct http_request *r)
{
	struct http *http = r->http;
	int i;

	for (i = 0; i < http->ndirect; i++) {
		if (http->direct[i] == r) {
			http->direct[i] = http->direct[--http->ndirect];
			break;
		}
	}
	r->fd = -1;
	r->direct_blocked = false;
}

bool
http_direct_promise(struct http_request *r)
{
	char line[64];
	struct curl_slist *list;

	if (strncasecmp(r->wire.url, "http://", 7) != 0)
		return false;
	snprintf(line, sizeof(line), "Content-Length: %" PRId64, r->call.content_length);
	if ((list = curl_slist_append(r->wire.headers, line)) == NULL)
		memory_exhausted(sizeof(line));
	r->wire.headers = list;
	return true;
}

static bool
http_direct_take(struct http_request *r)
{
	struct http *http = r->http;

	http_direct_forget(r);
	if (http->ndirect == HTTP_WAIT_MAX || (r->fd = http_socket(r)) == -1)
		return false;
	r->direct_port = r->here.port;
	http->direct[http->ndirect++] = r;
	return true;
}

ssize_t
http_direct_read(struct http_request *r)
{
	if (r->direct_state == DIRECT_ENDED && r->here.port == r->direct_port) {
		r->direct_state = DIRECT_OVER;
		return 0;
	}
	if (r->direct_state == DIRECT_SENDING && r->direct_sent == 0 && http_direct_take(r))
		return HTTP_READ_PAUSE;
	failure_set(&r->refused, CLASS_TRANSIENT, "the connection ended before the answer came");
	return HTTP_READ_REFUSE;
}

bool
http_is_direct(const struct http_request *r)
{
	return r->direct && r->fd != -1 && r->direct_state == DIRECT_SENDING;
}

size_t
http_send(struct http_request *r, const char *buf, size_t len)
{
	ssize_t n;

	/* then the loop's next turn cuts it off */
	if (!lease_holds(r->http->worker))
		return 0;
	n = send(r->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	r->direct_blocked = n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK);
	if (n >= 0) {
		r->direct_sent += n;
		return (size_t)n;
	}
	/* what is wrong with the connection, or what the server said before it closed it, libcurl finds out */
	if (!r->direct_blocked && errno != EINTR)
		http_send_end(r);
	return 0;
}

void
http_send_end(struct http_request *r)
{
	r->direct_state = DIRECT_ENDED;
	r->direct_blocked = false;
	http_unpause(r);
}

unsigned
http_direct_wait(const struct http *http, struct curl_waitfd *fds)
{
	unsigned n = 0;
	int i;

	for (i = 0; i < http->ndirect; i++) {
		if (http->direct[i]->direct_blocked)
			fds[n++] = (struct curl_waitfd){ .fd = http->direct[i]->fd, .events = CURL_WAIT_POLLOUT };
	}
	return n;
}
