/*
 * The framed body: as documented, of the announced length, whatever the sizes of the pieces are.
 */
#include <stdlib.h>

#include "tests/unit/tap.h"
#include "worker/store/chunked.h"
#include "worker/base/crc32c.h"

#define CHUNK (8 << 20)

static char *data;
static size_t size_max = 2 * CHUNK + 100;

/* The body of size bytes of data, made in pieces of max; its length is in *len. */
static char *
body_of(size_t size, size_t max, size_t *len)
{
	size_t room = size + 4096, taken = 0, n;
	char *out = malloc(room);
	struct aws_chunked f;
	uint32_t crc = 0;

	*len = 0;
	aws_chunked_begin(&f, (int64_t)size);
	for (;;) {
		n = aws_chunked_edge(&f, out + *len, max < room - *len ? max : room - *len);
		*len += n;
		if (n == 0 && taken == size)
			break;
		n = (size_t)aws_chunked_room(&f) < max ? (size_t)aws_chunked_room(&f) : max;
		memcpy(out + *len, data + taken, n);
		crc = crc32c_update(crc, data + taken, n);
		*len += n;
		taken += n;
		if (n > 0)
			aws_chunked_advance(&f, (int64_t)n, crc);
	}
	return out;
}

/* Takes the body apart as a server does.  Returns the bytes of data, or -1 for an error. */
static int64_t
decoded(const char *body, size_t len, int *chunks)
{
	const char *p = body, *end = body + len;
	size_t n, total = 0;
	char *after, trailer[64], text[CRC32C_TEXT_MAX];

	*chunks = 0;
	for (;;) {
		n = strtoul(p, &after, 16);
		if (after == p || strncmp(after, "\r\n", 2) != 0)
			return -1;
		p = after + 2;
		if (n == 0)
			break;
		if ((size_t)(end - p) < n + 2 || memcmp(p, data + total, n) != 0 ||
		    memcmp(p + n, "\r\n", 2) != 0)
			return -1;
		p += n + 2;
		total += n;
		++*chunks;
	}
	crc32c_format(crc32c_update(0, data, total), text);
	snprintf(trailer, sizeof(trailer), "x-amz-checksum-crc32c:%s\r\n\r\n", text);
	return (size_t)(end - p) == strlen(trailer) && memcmp(p, trailer, strlen(trailer)) == 0
		   ? (int64_t)total
		   : -1;
}

static void
test_small(void)
{
	static const char want[] = "9\r\n123456789\r\n0\r\nx-amz-checksum-crc32c:4waSgw==\r\n\r\n";
	static const char empty[] = "0\r\nx-amz-checksum-crc32c:AAAAAA==\r\n\r\n";
	size_t len;
	char *body;

	memcpy(data, "123456789", 9);
	body = body_of(9, 1 << 20, &len);
	ok(len == strlen(want) && memcmp(body, want, len) == 0, "nine bytes in their frame");
	free(body);
	body = body_of(0, 1 << 20, &len);
	ok(len == strlen(empty) && memcmp(body, empty, len) == 0,
	    "an empty body is the last chunk alone");
	free(body);
}

static void
test_sizes(void)
{
	static const size_t sizes[] = { 0, 1, 15, 16, 4096, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK,
		2 * CHUNK + 100 };
	static const size_t pieces[] = { 7, 65536, 1 << 20 };
	size_t len;
	int chunks;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (size_t j = sizes[i] > CHUNK / 2 ? 1 : 0;
		     j < sizeof(pieces) / sizeof(pieces[0]); j++) {
			char *body = body_of(sizes[i], pieces[j], &len);

			is_int(len, aws_chunked_length((int64_t)sizes[i]),
			    "%zu bytes by %zu: as long as said", sizes[i], pieces[j]);
			is_int(decoded(body, len, &chunks), sizes[i], "read as a server reads it");
			is_int(chunks, (sizes[i] + CHUNK - 1) / CHUNK, "the number of chunks");
			free(body);
		}
}

int
main(void)
{
	data = malloc(size_max);
	srandom(1);
	for (size_t i = 0; i < size_max; i++)
		data[i] = (char)random();
	test_small();
	test_sizes();
	free(data);
	return done_testing();
}
