/*
 * floor: the least that a client must do if it reads an object, computes its checksum and sends it
 * on.  It has one connection to the source, one to the sink, and a buffer, and calls recv(), CRC64
 * and send(); there is no TLS, no signature, no second part and no record.  With -z, splice() moves
 * the bytes from socket to socket, and the checksum reads a copy from tee()'s pipe.
 *
 * usage: floor [-z] SOURCE_PORT SOURCE_PATH SINK_PORT SINK_PATH      (prints the CRC64)
 */
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "worker/base/crc64.h"

#define HEAD_MAX 8192
#define BUFFER (4 << 20) /* a larger buffer saves nothing */
#define PIPE_SIZE (1 << 20)

static int
connect_to(const char *port)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)atoi(port)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd == -1 || connect(fd, (struct sockaddr *)&to, sizeof(to)) == -1)
		err(1, "port %s", port);
	return fd;
}

static void
send_all(int fd, const char *data, size_t n)
{
	while (n > 0) {
		ssize_t sent = send(fd, data, n, 0);

		if (sent == -1)
			err(1, "send");
		data += sent;
		n -= (size_t)sent;
	}
}

/*
 * Reads the head of an answer byte by byte, so as to take nothing of the body, and returns its
 * Content-Length.  Exits unless the status is 200.
 */
static int64_t
answer(int fd)
{
	char head[HEAD_MAX] = "";
	const char *length;

	for (size_t n = 0; strstr(head, "\r\n\r\n") == NULL; n++)
		if (n == sizeof(head) - 1 || recv(fd, head + n, 1, 0) != 1)
			errx(1, "no answer");
	if (strncmp(head, "HTTP/1.1 200", 12) != 0)
		errx(1, "%.40s", head);
	length = strcasestr(head, "\r\nContent-Length:");
	return length == NULL ? 0 : atoll(length + 17);
}

static uint64_t
copy(int from, int to, int64_t left)
{
	unsigned char *buffer = malloc(BUFFER);
	uint64_t crc = 0;

	if (buffer == NULL)
		err(1, NULL);
	while (left > 0) {
		ssize_t n = recv(from, buffer, BUFFER, 0);

		if (n <= 0)
			err(1, "recv");
		crc = crc64_update(crc, buffer, (size_t)n);
		send_all(to, (char *)buffer, (size_t)n);
		left -= n;
	}
	free(buffer);
	return crc;
}

static uint64_t
copy_spliced(int from, int to, int64_t left)
{
	unsigned char *buffer = malloc(BUFFER);
	int body[2], summed[2];
	uint64_t crc = 0;

	if (buffer == NULL || pipe(body) == -1 || pipe(summed) == -1 ||
	    fcntl(body[1], F_SETPIPE_SZ, PIPE_SIZE) == -1 ||
	    fcntl(summed[1], F_SETPIPE_SZ, PIPE_SIZE) == -1)
		err(1, "pipe");
	while (left > 0) {
		ssize_t n = splice(from, NULL, body[1], NULL, PIPE_SIZE, SPLICE_F_MOVE), sent;

		if (n <= 0)
			err(1, "splice");
		left -= n;
		for (; n > 0; n -= sent) {
			if ((sent = tee(body[0], summed[1], (size_t)n, 0)) <= 0)
				err(1, "tee");
			for (ssize_t had = 0, got; had < sent; had += got) {
				if ((got = read(summed[0], buffer, BUFFER)) <= 0)
					err(1, "read");
				crc = crc64_update(crc, buffer, (size_t)got);
			}
			for (ssize_t had = 0, got; had < sent; had += got)
				if ((got = splice(body[0], NULL, to, NULL, (size_t)(sent - had),
					 SPLICE_F_MOVE | SPLICE_F_MORE)) <= 0)
					err(1, "splice");
		}
	}
	free(buffer);
	return crc;
}

int
main(int argc, char *argv[])
{
	char head[HEAD_MAX];
	bool spliced = false;
	int64_t length;
	int source, sink, c;

	while ((c = getopt(argc, argv, "z")) != -1) {
		if (c != 'z')
			return 2;
		spliced = true;
	}
	if (argc - optind != 4)
		errx(2, "usage: floor [-z] SOURCE_PORT SOURCE_PATH SINK_PORT SINK_PATH");
	source = connect_to(argv[optind]);
	sink = connect_to(argv[optind + 2]);
	snprintf(
	    head, sizeof(head), "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", argv[optind + 1]);
	send_all(source, head, strlen(head));
	length = answer(source);
	snprintf(head, sizeof(head),
	    "PUT %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %" PRId64 "\r\n\r\n",
	    argv[optind + 3], length);
	send_all(sink, head, strlen(head));
	printf("%" PRIu64 "\n", (spliced ? copy_spliced : copy)(source, sink, length));
	answer(sink);
	return 0;
}
