/*
 * Options, connections, and the dispatch of requests.
 *
 *   void [-a ADDRESS] [-p PORT] [-d MS] [-r BYTES] [-n PARTS] [-m]
 *     -d  wait this long before each answer, like a round trip of latency
 *     -r  at most this many bytes a second on each connection, like a window over that latency
 *     -n  at most this many PUTs at once; one more is told to slow down
 *     -m  ETags are MD5s, as S3's are (this costs CPU of the server, not of its client)
 *
 *   GET|HEAD /BUCKET/size-N...
 *     an object of N bytes, made up from a pattern that repeats
 *   GET /small-N
 *     a list of N objects of 4 KiB, size-4096-00000000 and so on (ListObjects of both versions)
 *   PUT|POST|DELETE|HEAD of any other key
 *     an upload; HEAD states size, ETag and x-cos-hash-crc64ecma of the object
 *   PUT with x-*-copy-source
 *     a copy of a made-up object, or of a range of it
 *   GET /-/stats
 *     counters as JSON
 *   POST /-/invent/BUCKET/KEY?size=N&part=P&leave=A,B,...
 *     an upload of the made-up object of N bytes that has all parts, of P bytes each, but those
 *     that leave names; answers, as JSON, with its id, and CRC64 and ETag of a whole part and of
 *     the last one
 *
 * The bucket may also stand in front of the first '.' of the Host, unless Host is an address.
 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/void.h"

struct options options;
struct stats stats;

static int
get(struct request *r)
{
	int rc;

	if (strcmp(r->name, "-/stats") == 0)
		return answer(r, 200, "Content-Type: application/json\r\n",
		    "{\"requests\": %" PRId64 ", \"received\": %" PRId64 ", \"broken\": %" PRId64
		    ", \"objects\": %" PRId64 ", \"stored\": %" PRId64 ", \"sent\": %" PRId64
		    ", \"uploads\": %" PRId64 ", \"puts_most\": %" PRId64
		    ", \"puts_refused\": %" PRId64 "}\n",
		    stats.requests, stats.received, stats.broken, stats.objects, stats.stored,
		    stats.sent, stats.uploads, stats.puts_most, stats.puts_refused);
	if (source_get(r, &rc))
		return rc;
	return sink_get(r);
}

static int
dispatch(struct request *r)
{
	if (strcmp(r->method, "GET") == 0 || strcmp(r->method, "HEAD") == 0)
		return get(r);
	if (strcmp(r->method, "PUT") == 0)
		return sink_put(r);
	if (strcmp(r->method, "POST") == 0)
		return strncmp(r->name, "-/invent/", 9) == 0 ? sink_invent(r) : sink_post(r);
	if (strcmp(r->method, "DELETE") == 0)
		return sink_delete(r);
	return answer(r, 405, "", "%s", "");
}

static void *
connection(void *arg)
{
	struct request *r = calloc(1, sizeof *r);

	if (r == NULL)
		abort();
	r->fd = (int)(intptr_t)arg;
	while (request_read(r) == 0) {
		stats.requests++;
		if (dispatch(r) == -1)
			break;
	}
	close(r->fd);
	free(r);
	return NULL;
}

static int
listen_on(const char *address, int port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd, on = 1;

	if (inet_aton(address, &sin.sin_addr) == 0 ||
	    (fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) == -1 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == -1 ||
	    bind(fd, (struct sockaddr *)&sin, sizeof sin) == -1 || listen(fd, 512) == -1)
		return -1;
	return fd;
}

static void
serve(int fd)
{
	pthread_attr_t attr;
	int on = 1;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 1 << 20);
	for (;;) {
		pthread_t thread;
		int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

		if (peer == -1)
			continue;
		setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
		if (pthread_create(&thread, &attr, connection, (void *)(intptr_t)peer) != 0)
			close(peer);
	}
}

int
main(int argc, char **argv)
{
	const char *address = "127.0.0.1";
	int fd, ch, port = 9000;

	while ((ch = getopt(argc, argv, "a:d:mn:p:r:")) != -1) {
		switch (ch) {
		case 'a':
			address = optarg;
			break;
		case 'd':
			options.delay_ms = (int)strtol(optarg, NULL, 10);
			break;
		case 'm':
			options.md5 = true;
			break;
		case 'n':
			options.puts = (int)strtol(optarg, NULL, 10);
			break;
		case 'p':
			port = (int)strtol(optarg, NULL, 10);
			break;
		case 'r':
			options.rate = strtoll(optarg, NULL, 10);
			break;
		default:
			fprintf(stderr, "usage: void [-m] [-a address] [-d ms] [-n puts] [-p port] "
					"[-r bytes/s]\n");
			return 64;
		}
	}
	source_init();
	if ((fd = listen_on(address, port)) == -1) {
		perror("void");
		return 1;
	}
	printf("ready on %s:%d\n", address, port);
	fflush(stdout);
	serve(fd);
}
