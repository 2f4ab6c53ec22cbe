/*
 * CRC-64/XZ (ECMA-182 reflected, init and xorout all ones): what COS calls x-cos-hash-crc64ecma.
 * Check value of "123456789": 0x995dc9bbdf1939fa.
 */
#ifndef WORKER_CRC64_H
#define WORKER_CRC64_H

#include <stddef.h>
#include <stdint.h>

/* Continues crc (0 to begin) over len bytes.  Computed by ISA-L. */
uint64_t crc64_update(uint64_t crc, const void *buf, size_t len);

/* The CRC of A‖B from crc(A), crc(B) and the length of B in bytes; O(log len_b). */
uint64_t crc64_combine(uint64_t crc_a, uint64_t crc_b, uint64_t len_b);

/* Unsigned decimal, the whole string, nothing else; returns 0 or -1. */
int crc64_parse(const char *s, uint64_t *crc);

#endif
