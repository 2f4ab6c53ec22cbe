/*
 * libcurl is told that the length of the body is unknown; the head states it all the same
 * (http_direct_promise).  libcurl asks for the first bytes when the head has left: take_socket()
 * then takes the socket and pauses libcurl's sending.  When the body is sent, libcurl asks again
 * and is told that there is no more.
 *
 * If a kept connection ends before the first byte of an answer, libcurl sends the request again.
 * It then asks for the body once more on another connection, and is refused: the bytes are gone.
 */
#include "worker/http/send.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "common/base/memory.h"
#include "worker/http/private.h"
#include "worker/session/lease.h"

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
take_socket(struct http_request *r)
{
	struct http *http = r->http;

	http_direct_forget(r);
	if (http->ndirect == HTTP_WAIT_MAX || (r->fd = http_socket(r)) == -1)
		return false;
	r->direct_port = r->here.port;
	http->direct[http->ndirect++] = r;
	return true;
}

static ssize_t
read_direct(struct http_request *r)
{
	if (r->direct_state == DIRECT_ENDED && r->here.port == r->direct_port) {
		r->direct_state = DIRECT_OVER;
		return 0;
	}
	if (r->direct_state == DIRECT_SENDING && r->direct_sent == 0 && take_socket(r))
		return HTTP_READ_PAUSE;
	failure_set(&r->refused, CLASS_TRANSIENT, "the connection ended before the answer came");
	return HTTP_READ_REFUSE;
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
	got = r->direct ? read_direct(r) : r->on_read(r, buf, size * n);
	if (got == HTTP_READ_PAUSE)
		return CURL_READFUNC_PAUSE;
	return got < 0 ? CURL_READFUNC_ABORT : (size_t)got;
}

bool
http_is_direct(const struct http_request *r)
{
	return r->direct && r->fd != -1 && r->direct_state == DIRECT_SENDING;
}

void
http_send_end(struct http_request *r)
{
	r->direct_state = DIRECT_ENDED;
	r->direct_blocked = false;
	http_unpause(r);
}

size_t
http_send(struct http_request *r, const char *buf, size_t len)
{
	ssize_t n;

	/* the loop's next turn cuts the request off: fence.c */
	if (!lease_holds(r->http->worker))
		return 0;
	n = send(r->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	r->direct_blocked = n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK);
	if (n >= 0) {
		r->direct_sent += n;
		return (size_t)n;
	}
	/* libcurl finds out why, or reads what the server answered before it closed */
	if (!r->direct_blocked && errno != EINTR)
		http_send_end(r);
	return 0;
}

unsigned
http_direct_wait(const struct http *http, struct curl_waitfd *fds)
{
	unsigned n = 0;
	int i;

	for (i = 0; i < http->ndirect; i++) {
		if (http->direct[i]->direct_blocked)
			fds[n++] = (struct curl_waitfd){ .fd = http->direct[i]->fd,
				.events = CURL_WAIT_POLLOUT };
	}
	return n;
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
http_describe_moved(const struct http_request *r, char text[HTTP_MOVED_MAX])
{
	curl_off_t came = 0;

	text[0] = '\0';
	if (r->role == HTTP_WRITER) {
		snprintf(text, HTTP_MOVED_MAX, "; %" PRId64 " of %" PRId64 " bytes had been sent",
		    http_sent(r), r->call.content_length);
	} else if (r->role == HTTP_READER && r->head_over) {
		curl_easy_getinfo(r->easy, CURLINFO_SIZE_DOWNLOAD_T, &came);
		if (r->info.content_length >= 0)
			snprintf(text, HTTP_MOVED_MAX,
			    "; %" PRId64 " of %" PRId64 " bytes had come", (int64_t)came,
			    r->info.content_length);
		else
			snprintf(
			    text, HTTP_MOVED_MAX, "; %" PRId64 " bytes had come", (int64_t)came);
	}
	return text;
}
