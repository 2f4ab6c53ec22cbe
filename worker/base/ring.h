/*
 * A ring of bytes between the reader and the writer of a part.  There is one thread, so no locks.
 */
#ifndef WORKER_BASE_RING_H
#define WORKER_BASE_RING_H

#include <stddef.h>
#include <stdint.h>

struct ring {
	char *buf;
	size_t size; /* bytes, a power of two */

	/* positions only grow; the place in buf is the position modulo size */
	uint64_t in; /* bytes ever put in */
	uint64_t out; /* bytes ever taken out */
};

/* Rounds size up to a power of two, 4096 at least. */
void ring_init(struct ring *ring, size_t size);
void ring_release(struct ring *ring);
void ring_clear(struct ring *ring);

size_t ring_used(const struct ring *ring);
size_t ring_room(const struct ring *ring);

/* Puts in all of buf; len must not exceed ring_room(). */
void ring_write(struct ring *ring, const char *buf, size_t len);

/* Takes out exactly len bytes; len must not exceed ring_used(). */
void ring_read(struct ring *ring, char *buf, size_t len);

/*
 * Reading in place: ring_peek() returns the longest contiguous run of bytes, ring_consume() takes
 * out the first len of them.
 */
char *ring_peek(struct ring *ring, size_t *len);
void ring_consume(struct ring *ring, size_t len);

/*
 * Writing in place: ring_space() returns the longest contiguous run of room, ring_produce() puts in
 * the first len bytes of it.
 */
char *ring_space(struct ring *ring, size_t *len);
void ring_produce(struct ring *ring, size_t len);

#endif
