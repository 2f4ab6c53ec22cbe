/*
 * Which sockets libcurl may open, and which one belongs to a request.
 *
 * libcurl names a request's socket only when the request is over.  Just before the head leaves it
 * names the connection's two addresses, also of a kept connection.  http_socket() finds the open
 * socket that has these two.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/memory.h"
#include "worker/http/private.h"
#include "worker/http/reach.h"

#define SOCKETS_STEP 32

static int
refuse_private(struct http_request *r)
{
	return failure_set(&r->refused, CLASS_PERMANENT,
	    "the host's address is private; private = true in the section http would allow it");
}

static void
note_socket(struct http *http, int fd)
{
	if (http->nsockets == http->sockets_room) {
		http->sockets_room += SOCKETS_STEP;
		http->sockets =
		    reallocarray(http->sockets, (size_t)http->sockets_room, sizeof(*http->sockets));
		if (http->sockets == NULL)
			memory_exhausted((size_t)http->sockets_room * sizeof(*http->sockets));
	}
	http->sockets[http->nsockets++] = fd;
}

static curl_socket_t
on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *addr)
{
	struct http_request *r = arg;
	int fd;

	(void)purpose;
	if (r->public_only && reach_is_private(&addr->addr)) {
		refuse_private(r);
		return CURL_SOCKET_BAD;
	}
	fd = socket(addr->family, addr->socktype | SOCK_CLOEXEC, addr->protocol);
	if (fd == -1)
		return CURL_SOCKET_BAD;
	note_socket(r->http, fd);
	return fd;
}

/* A connection outlives its request, so arg is the struct http. */
static int
on_close(void *arg, curl_socket_t fd)
{
	struct http *http = arg;
	int i;

	for (i = 0; i < http->nsockets; i++) {
		if (http->sockets[i] == fd) {
			http->sockets[i] = http->sockets[--http->nsockets];
			break;
		}
	}
	return close(fd);
}

static void
set_place(struct http_place *place, const char *address, int port)
{
	strlcpy(place->address, address, sizeof(place->address));
	place->port = port;
}

/*
 * Called before the head leaves.  Checks the address again: a kept connection may have been opened
 * for a store in a private network.
 */
static int
on_prereq(void *arg, char *address, char *local, int port, int local_port)
{
	struct http_request *r = arg;

	r->store->resolve_taken = true;
	set_place(&r->peer, address, port);
	set_place(&r->here, local, local_port);
	if (!r->public_only || !reach_is_private_text(address))
		return CURL_PREREQFUNC_OK;
	refuse_private(r);
	return CURL_PREREQFUNC_ABORT;
}

void
http_socket_set(struct http_request *r)
{
	curl_easy_setopt(r->easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
	curl_easy_setopt(r->easy, CURLOPT_OPENSOCKETDATA, r);
	curl_easy_setopt(r->easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
	curl_easy_setopt(r->easy, CURLOPT_CLOSESOCKETDATA, r->http);
	curl_easy_setopt(r->easy, CURLOPT_PREREQFUNCTION, on_prereq);
	curl_easy_setopt(r->easy, CURLOPT_PREREQDATA, r);
}

typedef int socket_name(int fd, struct sockaddr *addr, socklen_t *len);

static bool
is_place(const struct http_place *place, int fd, socket_name *name)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	char text[INET6_ADDRSTRLEN] = "";
	in_port_t port = 0;

	if (name(fd, (struct sockaddr *)&addr, &len) == -1)
		return false;
	if (addr.ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)&addr;

		port = in->sin_port;
		inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
	} else if (addr.ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&addr;

		port = in6->sin6_port;
		inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
	}
	return ntohs(port) == place->port && strcmp(text, place->address) == 0;
}

int
http_socket(const struct http_request *r)
{
	const struct http *http = r->http;
	int i;

	for (i = 0; i < http->nsockets && r->here.port != 0; i++) {
		if (is_place(&r->here, http->sockets[i], getsockname) &&
		    is_place(&r->peer, http->sockets[i], getpeername))
			return http->sockets[i];
	}
	return -1;
}
