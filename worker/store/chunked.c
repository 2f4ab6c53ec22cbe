#include "worker/store/chunked.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "worker/base/crc32c.h"

/* Bytes.  S3 wants 8 KiB at least in all chunks but the last; MinIO takes 16 MiB at most. */
#define CHUNK (INT64_C(8) << 20)
#define TRAILER "x-amz-checksum-crc32c:"

static int64_t
chunk_overhead(int64_t size)
{
	return snprintf(NULL, 0, "%" PRIx64 "\r\n\r\n", (uint64_t)size);
}

int64_t
aws_chunked_length(int64_t size)
{
	int64_t full = size / CHUNK, rest = size % CHUNK;
	int64_t end = (int64_t)strlen("0\r\n" TRAILER "\r\n\r\n") + CRC32C_TEXT_MAX - 1;

	return size + full * chunk_overhead(CHUNK) + (rest > 0 ? chunk_overhead(rest) : 0) + end;
}

/* Writes the end of a chunk, and the beginning of the next one or what follows the last. */
static void
make_edge(struct aws_chunked *f, const char *end, uint32_t crc32c)
{
	char text[CRC32C_TEXT_MAX];
	int n;

	f->room = f->left < CHUNK ? f->left : CHUNK;
	f->left -= f->room;
	f->edge_at = 0;
	crc32c_format(crc32c, text);
	if (f->room > 0)
		n = snprintf(f->edge, sizeof(f->edge), "%s%" PRIx64 "\r\n", end, (uint64_t)f->room);
	else
		n = snprintf(f->edge, sizeof(f->edge), "%s0\r\n" TRAILER "%s\r\n\r\n", end, text);
	f->edge_len = (size_t)n;
}

void
aws_chunked_begin(struct aws_chunked *f, int64_t size)
{
	f->left = size;
	make_edge(f, "", 0);
}

size_t
aws_chunked_edge(struct aws_chunked *f, char *buf, size_t max)
{
	size_t n = f->edge_len - f->edge_at;

	if (n > max)
		n = max;
	memcpy(buf, f->edge + f->edge_at, n);
	f->edge_at += n;
	return n;
}

int64_t
aws_chunked_room(const struct aws_chunked *f)
{
	return f->edge_at == f->edge_len ? f->room : 0;
}

void
aws_chunked_advance(struct aws_chunked *f, int64_t len, uint32_t crc32c)
{
	f->room -= len;
	if (f->room == 0)
		make_edge(f, "\r\n", crc32c);
}
