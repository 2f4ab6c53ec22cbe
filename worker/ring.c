/*
 * The byte ring.  Positions only grow; 2^64 bytes are never reached.
 */
#include <assert.h>
#include <string.h>

#include "worker/memory.h"
#include "worker/ring.h"

void
ring_init(struct ring *ring, size_t size)
{
	size_t rounded = 4096;

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

char *
ring_space(struct ring *ring, size_t *len)
{
	size_t at = ring->in & (ring->size - 1);
	size_t room = ring_room(ring);

	*len = room < ring->size - at ? room : ring->size - at;
	return ring->buf + at;
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
	size_t at = ring->out & (ring->size - 1);
	size_t used = ring_used(ring);

	*len = used < ring->size - at ? used : ring->size - at;
	return ring->buf + at;
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
	size_t run;
	char *at;

	assert(len <= ring_room(ring));
	while (len > 0) {
		at = ring_space(ring, &run);
		if (run > len)
			run = len;
		memcpy(at, buf, run);
		ring_produce(ring, run);
		buf += run;
		len -= run;
	}
}

void
ring_read(struct ring *ring, char *buf, size_t len)
{
	size_t run;
	char *at;

	assert(len <= ring_used(ring));
	while (len > 0) {
		at = ring_peek(ring, &run);
		if (run > len)
			run = len;
		memcpy(buf, at, run);
		ring_consume(ring, run);
		buf += run;
		len -= run;
	}
}
