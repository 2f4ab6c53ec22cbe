/*
 * A ring of bytes between the reader of a part and its writer.  One thread, so no locks; the size is a power of two.
 */
#ifndef WORKER_RING_H
#define WORKER_RING_H

#include <stddef.h>
#include <stdint.h>

struct ring {
	char *buf;
	size_t size;
	uint64_t in;  /* bytes ever put in; the place is in modulo size */
	uint64_t out; /* bytes ever taken out */
};

/* size is rounded up to a power of two.  Allocation failure ends the process (memory.h). */
void ring_init(struct ring *ring, size_t size);
void ring_release(struct ring *ring);
void ring_clear(struct ring *ring);

size_t ring_used(const struct ring *ring);
size_t ring_room(const struct ring *ring);

/* Puts in all of buf; len must not exceed ring_room(). */
void ring_write(struct ring *ring, const char *buf, size_t len);

/* Takes out exactly len bytes; len must not exceed ring_used(). */
void ring_read(struct ring *ring, char *buf, size_t len);

/* The longest contiguous run of bytes to take or of room to fill, in place; then say how much was used. */
char *ring_peek(struct ring *ring, size_t *len);
void ring_consume(struct ring *ring, size_t len);
char *ring_space(struct ring *ring, size_t *len);
void ring_produce(struct ring *ring, size_t len);

#endif
