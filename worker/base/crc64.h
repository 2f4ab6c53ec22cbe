/*
 * CRC-64/XZ (ECMA-182 reflected, init and xorout all ones): x-cos-hash-crc64ecma of COS.  The
 * checksum of "123456789" is 0x995dc9bbdf1939fa.
 */
#ifndef WORKER_BASE_CRC64_H
#define WORKER_BASE_CRC64_H

#include <stddef.h>
#include <stdint.h>

/* Continues crc (0 to begin) over len bytes.  Computed by ISA-L. */
uint64_t crc64_update(uint64_t crc, const void *buf, size_t len);

/* The CRC of A‖B from crc(A), crc(B) and the length of B in bytes: gf2.h. */
uint64_t crc64_combine(uint64_t crc_a, uint64_t crc_b, uint64_t len_b);

/* Reads the unsigned decimal that the whole string must be.  Returns 0 or -1. */
int crc64_parse(const char *s, uint64_t *crc);

#endif
