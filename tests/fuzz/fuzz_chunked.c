/*
 * libFuzzer: the first 8 bytes are the size of a body, each later byte is the length of a piece
 * that is written or sent.  The frame has the announced length, and a server that takes it apart
 * finds the data and the checksum.  The data itself does not pass through the module.
 */
#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "worker/base/crc32c.h"
#include "worker/store/chunked.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SIZE_MAX_FRAMED (INT64_C(1) << 30)
#define OBJECT_MAX ((INT64_C(5) << 30) * 10000)
#define TRAILER "x-amz-checksum-crc32c:"

/* What a server has read so far. */
struct server {
	char edge[2 * AWS_CHUNKED_EDGE]; /* since the last data */
	size_t edge_len;
	int64_t data; /* bytes, of all chunks */
	int64_t chunk; /* bytes left of this chunk */
	bool begun;
	int64_t total; /* bytes of the body with its frame */
};

static void
take_edge(struct server *s, const char *text, size_t len)
{
	if (len == 0)
		return;
	assert(s->chunk == 0 && s->edge_len + len < sizeof(s->edge));
	memcpy(s->edge + s->edge_len, text, len);
	s->edge_len += len;
	s->edge[s->edge_len] = '\0';
	s->total += (int64_t)len;
}

/* The data of a chunk begins: what came before it is the chunk's length. */
static void
take_data(struct server *s, int64_t len)
{
	const char *p = s->edge;
	char *end;

	if (s->edge_len > 0) {
		if (s->begun) {
			assert(strncmp(p, "\r\n", 2) == 0);
			p += 2;
		}
		s->chunk = (int64_t)strtoll(p, &end, 16);
		assert(end > p && strcmp(end, "\r\n") == 0 && s->chunk > 0);
		s->begun = true;
		s->edge_len = 0;
	}
	assert(len <= s->chunk);
	s->chunk -= len;
	s->data += len;
	s->total += len;
}

static void
check_end(struct server *s, int64_t size, uint32_t crc32c)
{
	char text[CRC32C_TEXT_MAX];
	const char *p = s->edge;

	assert(s->chunk == 0 && s->data == size && s->total == aws_chunked_length(size));
	crc32c_format(crc32c, text);
	if (s->begun) {
		assert(strncmp(p, "\r\n", 2) == 0);
		p += 2;
	}
	assert(strncmp(p, "0\r\n" TRAILER, strlen("0\r\n" TRAILER)) == 0);
	p += strlen("0\r\n" TRAILER);
	assert(strncmp(p, text, strlen(text)) == 0 && strcmp(p + strlen(text), "\r\n\r\n") == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct server server = { .begun = false };
	struct aws_chunked frame;
	uint64_t number = 0;
	int64_t left, n;
	uint32_t crc32c = 0;
	char buf[256];

	memcpy(&number, data, size < sizeof(number) ? size : sizeof(number));
	assert(aws_chunked_length((int64_t)(number % (OBJECT_MAX + 1))) > 0);
	left = (int64_t)(number % (SIZE_MAX_FRAMED + 1));
	aws_chunked_begin(&frame, left);
	for (size_t i = sizeof(number);; i++) {
		uint8_t step = i < size ? data[i] : 255;
		size_t len = aws_chunked_edge(&frame, buf, step);

		take_edge(&server, buf, len);
		n = aws_chunked_room(&frame);
		if (left == 0 && len == 0 && step > 0)
			break;
		if (n == 0)
			continue;
		n = step == 255 ? n : n * step / 256;
		crc32c = crc32c * 31 + step;
		take_data(&server, n);
		left -= n;
		if (n > 0)
			aws_chunked_advance(&frame, n, crc32c);
	}
	check_end(&server, (int64_t)(number % (SIZE_MAX_FRAMED + 1)), crc32c);
	return 0;
}
