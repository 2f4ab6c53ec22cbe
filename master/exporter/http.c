/*
 * The server, on libmicrohttpd.  Its descriptors are behind one epoll descriptor, which our
 * poll() waits for, so that the process has one thread.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "master/exporter/exporter.h"
#include "master/exporter/http.h"

#define CONNECTIONS_MAX 64
#define CONNECTION_MEMORY (32 << 10) /* bytes of a request's head */
#define IDLE_S 15

/* libmicrohttpd calls it for each request: seven parameters are its interface. */
static enum MHD_Result
on_request(void *arg, struct MHD_Connection *conn, const char *url, const char *method,
    const char *version, const char *body, size_t *body_len, void **state)
{
	struct answer a = { 0 };
	struct MHD_Response *response;
	enum MHD_Result rc;

	(void)version, (void)body, (void)state;
	if (*body_len != 0) {
		*body_len = 0; /* what a request carries is not read */
		return MHD_YES;
	}
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		answer_line(&a, 405, "only GET and HEAD are answered");
	else
		route_answer(arg, conn, url, &a);
	response = MHD_create_response_from_buffer(a.len, a.text, MHD_RESPMEM_MUST_FREE);
	if (response == NULL)
		return MHD_NO;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, a.type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
	MHD_add_response_header(response, "Cross-Origin-Resource-Policy", "same-origin");
	if (a.policy[0] != '\0')
		MHD_add_response_header(response, "Content-Security-Policy", a.policy);
	if (a.status == 401)
		MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
	rc = MHD_queue_response(conn, a.status, response);
	MHD_destroy_response(response);
	return rc;
}

/* Reads "127.0.0.1:9788" or "[::1]:9788", which the configuration has checked. */
static socklen_t
parse_address(const char *listen, struct sockaddr_storage *storage)
{
	struct sockaddr_in *in = (struct sockaddr_in *)storage;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)storage;
	const char *colon = strrchr(listen, ':');
	char host[CONFIG_HOST_MAX];
	bool six = listen[0] == '[';
	in_port_t port;

	memset(storage, 0, sizeof(*storage));
	if (colon == NULL)
		return 0;
	port = htons((in_port_t)strtonum(colon + 1, 1, 65535, NULL));
	strlcpy(host, listen + six, (size_t)(colon - listen) - six + (six ? 0 : 1));
	if (six) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = port;
		return inet_pton(AF_INET6, host, &in6->sin6_addr) == 1 ? sizeof(*in6) : 0;
	}
	in->sin_family = AF_INET;
	in->sin_port = port;
	return inet_pton(AF_INET, host, &in->sin_addr) == 1 ? sizeof(*in) : 0;
}

/* Returns a listening socket, or -1 with errno. */
static int
open_socket(const char *address)
{
	struct sockaddr_storage storage;
	socklen_t len = parse_address(address, &storage);
	int fd, on = 1, saved;

	if (len == 0) {
		errno = EINVAL;
		return -1;
	}
	fd = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
	    bind(fd, (struct sockaddr *)&storage, len) == 0 && listen(fd, CONNECTIONS_MAX) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

struct MHD_Daemon *
http_open(struct exporter *e, char *why, size_t why_size)
{
	int fd = open_socket(e->setup.listen);
	struct MHD_Daemon *http;

	if (fd == -1) {
		snprintf(
		    why, why_size, "it cannot listen on %s: %s", e->setup.listen, strerror(errno));
		return NULL;
	}
	http = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, e,
	    MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
	    MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
	    MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S, MHD_OPTION_END);
	if (http == NULL)
		snprintf(why, why_size, "libmicrohttpd cannot serve %s: %s", e->setup.listen,
		    strerror(errno));
	return http;
}

int
http_fd(struct MHD_Daemon *http)
{
	return MHD_get_daemon_info(http, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
}

int64_t
http_timeout(struct MHD_Daemon *http)
{
	MHD_UNSIGNED_LONG_LONG ms;

	if (MHD_get_timeout(http, &ms) != MHD_YES)
		return -1;
	return ms > INT32_MAX ? INT32_MAX : (int64_t)ms;
}

void
http_run(struct MHD_Daemon *http)
{
	MHD_run(http);
}
