#include "worker/base/ring.h"

#include <assert.h>
#include <string.h>

#include "common/base/memory.h"

#define SIZE_MIN 4096

void
ring_init(struct ring *ring, size_t size)
{
	size_t rounded = SIZE_MIN;

	while (rounded < size)
		rounded *= 2;
	ring->buf = memory_buffer(rounded);
	ring->size = rounded;
	ring_clear(ring);
}

void
ring_release(struct ring *ring)
{
	memory_free(ring->buf);
	ring->buf = NULL;
	ring->size = 0;
	ring_clear(ring);
}

void
ring_clear(struct ring *ring)
{
	ring->in = ring->out = 0;
}

size_t
ring_used(const struct ring *ring)
{
	return (size_t)(ring->in - ring->out);
}

size_t
ring_room(const struct ring *ring)
{
	return ring->size - ring_used(ring);
}

/* Where a position lies in the buffer. */
static size_t
place(const struct ring *ring, uint64_t position)
{
	return (size_t)position & (ring->size - 1);
}

/* How many of len bytes from position on lie before the end of the buffer. */
static size_t
run(const struct ring *ring, uint64_t position, size_t len)
{
	size_t most = ring->size - place(ring, position);

	return len < most ? len : most;
}

char *
ring_space(struct ring *ring, size_t *len)
{
	*len = run(ring, ring->in, ring_room(ring));
	return ring->buf + place(ring, ring->in);
}

void
ring_produce(struct ring *ring, size_t len)
{
	assert(len <= ring_room(ring));
	ring->in += len;
}

char *
ring_peek(struct ring *ring, size_t *len)
{
	*len = run(ring, ring->out, ring_used(ring));
	return ring->buf + place(ring, ring->out);
}

void
ring_consume(struct ring *ring, size_t len)
{
	assert(len <= ring_used(ring));
	ring->out += len;
}

void
ring_write(struct ring *ring, const char *buf, size_t len)
{
	size_t first = run(ring, ring->in, len);

	assert(len <= ring_room(ring));
	memcpy(ring->buf + place(ring, ring->in), buf, first);
	memcpy(ring->buf, buf + first, len - first);
	ring->in += len;
}

void
ring_read(struct ring *ring, char *buf, size_t len)
{
	size_t first = run(ring, ring->out, len);

	assert(len <= ring_used(ring));
	memcpy(buf, ring->buf + place(ring, ring->out), first);
	memcpy(buf + first, ring->buf, len - first);
	ring->out += len;
}
