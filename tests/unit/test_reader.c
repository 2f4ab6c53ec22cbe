/*
 * The reader against a server of a few lines: what it asks for after the last byte, after a pause,
 * and after an answer that broke off.  Time is an argument of the reader, so nothing waits.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "tests/unit/tap.h"
#include "worker/base/memory.h"
#include "worker/http/private.h"
#include "worker/http/request.h"
#include "worker/pipe/reader.h"

#define RING (1 << 20)
#define SIZE (RING / 2 + (24 << 10)) /* the reader pauses at half of the ring */
#define LONG_AFTER 60000 /* ms, longer than a pause may last */

/* What the server sends to each request, and what it saw. */
static struct {
	int fd, port;
	const char *head; /* after the status line, without the last CRLF */
	int body; /* bytes */
	const char *tail; /* after the body */
	int requests;
	char ranges[8][64];
} server;

static void
serve(int fd)
{
	static char body[2 * RING];
	char request[4096], *range;
	ssize_t n = 0, got;

	while (strstr(request, "\r\n\r\n") == NULL || n == 0) {
		if ((got = read(fd, request + n, sizeof(request) - 1 - (size_t)n)) <= 0)
			break;
		n += got;
		request[n] = '\0';
	}
	range = n > 0 ? strstr(request, "Range: ") : NULL;
	if (n > 0 && server.requests < 8)
		snprintf(server.ranges[server.requests++], 64, "%.*s",
		    range != NULL ? (int)strcspn(range, "\r") : 0, range != NULL ? range : "");
	dprintf(fd, "HTTP/1.1 206 Partial Content\r\n%s\r\n", server.head);
	memset(body, 'x', sizeof(body));
	if (write(fd, body, (size_t)server.body) == server.body)
		dprintf(fd, "%s", server.tail);
	close(fd);
}

static void *
run_server(void *arg)
{
	int fd;

	(void)arg;
	while ((fd = accept(server.fd, NULL, NULL)) != -1)
		serve(fd);
	return NULL;
}

static void
start_server(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	pthread_t thread;

	server.fd = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(server.fd, (struct sockaddr *)&in, len) == -1 || listen(server.fd, 8) == -1 ||
	    getsockname(server.fd, (struct sockaddr *)&in, &len) == -1 ||
	    pthread_create(&thread, NULL, run_server, NULL) != 0)
		abort();
	server.port = ntohs(in.sin_port);
}

static struct setup setup;
static struct worker worker = { .setup = &setup };
static struct source source;
static struct ring ring;
static struct reader *reader;
static struct failure failure;

/* A source of SIZE bytes that is pinned by etag, read from its beginning. */
static void
begin(const char *etag)
{
	char url[64];

	server.requests = 0;
	memset(&source, 0, sizeof(source));
	source.store = &source.url_store;
	source.url_store.conf.kind = STORE_HTTP;
	source.is_url = source.ranges = true;
	source.pin.size = SIZE;
	strlcpy(source.pin.etag, etag, sizeof(source.pin.etag));
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/", server.port);
	source.key = memory_strdup(url);
	ring_clear(&ring);
	failure_init(&failure);
	reader_init(reader, &worker, &source, &ring, BUFFERS_NORMAL);
	reader_begin(reader, 0, SIZE, clock_ms());
}

static void
end(void)
{
	reader_drop(reader);
	memory_free(source.key);
}

/* Moves the reader along as a pipe does, at the time after the real one, until it comes to rest. */
static int
run(int64_t after)
{
	int64_t wake, quiet = clock_ms() + 300;
	int rc = 0;

	while (rc == 0 && !reader->ended && clock_ms() < quiet) {
		int64_t offset = reader->offset;

		wake = 0;
		rc = reader_run(reader, clock_ms() + after, &wake, &failure);
		http_poll(worker.http, NULL, 0, 20);
		http_perform(worker.http);
		if (reader->offset != offset)
			quiet = clock_ms() + 300;
	}
	return rc;
}

static const char whole[] = "ETag: \"e\"\r\nContent-Range: bytes 0-548863/548864\r\n",
		  length[] = "Content-Length: 548864\r\n",
		  chunked[] = "Transfer-Encoding: chunked\r\n\r\n86000";

static void
test_pause(void)
{
	char head[256];

	snprintf(head, sizeof(head), "%s%s", whole, length);
	server.head = head;
	server.body = SIZE;
	server.tail = "";
	begin("e");
	is_int(run(0), 0, "a range that is larger than half of the ring, which nobody empties");
	ok(reader->offset == SIZE, "all bytes have come");
	is_int(run(LONG_AFTER), 0, "and nobody empties the ring for long");
	ok(reader->ended, "the range has ended");
	ring_clear(&ring);
	is_int(run(LONG_AFTER), 0, "when there is room again");
	is_int(server.requests, 1, "nothing more is asked for");
	end();
}

static void
test_pause_in_the_middle(void)
{
	server.head =
	    "ETag: \"e\"\r\nContent-Range: bytes 0-548863/548864\r\nContent-Length: 548864\r\n";
	server.body = SIZE;
	server.tail = "";
	begin("e");
	/* room enough to begin, and not enough for all */
	ring_produce(&ring, 510 << 10);
	run(0);
	ok(reader->offset < SIZE && reader->offset > 0 && reader->paused, "a pause in the middle");
	run(LONG_AFTER);
	ok(!reader->reading, "is broken off when it lasts");
	ring_clear(&ring);
	run(0);
	is_int(server.requests, 2, "and another GET continues");
	ok(strncmp(server.ranges[1], "Range: bytes=", 13) == 0 &&
		strcmp(server.ranges[1], "Range: bytes=0-548863") != 0,
	    "where the first stopped: %s", server.ranges[1]);
	end();
}

static void
test_end_that_broke_off(void)
{
	char head[256];

	snprintf(head, sizeof(head), "%s%s", whole, chunked);
	server.head = head;
	server.body = SIZE;
	server.tail = ""; /* the last chunk is missing */
	begin("e");
	is_int(run(0), -1, "a body that breaks off after its last byte");
	reader_again(reader, 0);
	is_int(run(0), 0, "counts");
	ok(reader->ended && reader_is_sure(reader, SIZE), "as complete");
	is_int(server.requests, 1, "and nothing is asked for");
	end();
}

static void
test_trailer(void)
{
	char head[256];

	snprintf(head, sizeof(head), "%s%s", whole, chunked);
	server.head = head;
	server.body = SIZE;
	server.tail = "\r\n0\r\nETag: \"other\"\r\n\r\n";
	begin("e");
	is_int(run(0), 0, "an answer with a trailer");
	ok(reader->ended, "is complete");
	end();
}

static void
feed(struct http_request *r, const char *line)
{
	char buf[64];

	strlcpy(buf, line, sizeof(buf));
	ok(http_on_header(buf, 1, strlen(buf), r) == strlen(buf), "a line of the answer is taken");
}

static void
test_trailer_is_no_header(void)
{
	struct http_request *r = memory_buffer(sizeof(*r));

	http_prepare(r, &source.url_store, OP_GET);
	r->role = HTTP_WRITER; /* no time is taken */
	feed(r, "HTTP/1.1 200 OK\r\n");
	feed(r, "ETag: \"e\"\r\n");
	feed(r, "\r\n");
	feed(r, "ETag: \"other\"\r\n");
	is_str(r->info.etag, "e", "a trailer changes no header");
	http_release(r);
	memory_free(r);
}

static void
test_overlong(void)
{
	char head[256];

	/* the range, in a chunk that is 4 bytes longer; it comes in slices of 16 KiB */
	snprintf(head, sizeof(head), "%s%s", whole, chunked);
	server.head = head;
	server.body = SIZE;
	server.tail = "\r\n4\r\nmore\r\n0\r\n\r\n";
	begin("e");
	is_int(run(0), -1, "a body that is longer than its range");
	reader_again(reader, 0);
	is_int(run(0), -1, "is not believed: %s", failure.text);
	ok(!reader->ended, "although all bytes of the range have come");
	end();
}

static void
test_unpinned(void)
{
	server.head = "Content-Range: bytes 0-548863/548864\r\nContent-Length: 548864\r\n";
	server.body = 1000;
	server.tail = "";
	begin("");
	ok(reader_may_read(reader, 0) && !reader_may_read(reader, 1),
	    "a source that nothing pins is read from its beginning only");
	is_int(run(0), -1, "its body breaks off");
	reader_again(reader, 0);
	is_int(run(0), -1, "and is not continued: %s", failure.text);
	is_int(server.requests, 1, "nothing is asked for");
	end();
	begin("e");
	ok(reader_may_read(reader, 0) && reader_may_read(reader, 1), "a pin allows it");
	end();
}

int
main(void)
{
	memory_init();
	curl_global_init(CURL_GLOBAL_ALL);
	setup.config.worker.connect_timeout_ms = setup.config.worker.stall_timeout_ms = 10000;
	worker.http = http_new(&worker);
	ring_init(&ring, RING);
	reader = memory_buffer(sizeof(*reader));
	start_server();
	test_pause();
	test_pause_in_the_middle();
	test_end_that_broke_off();
	test_trailer();
	test_trailer_is_no_header();
	test_overlong();
	test_unpinned();
	return done_testing();
}
