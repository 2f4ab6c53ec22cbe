/*
 * CRC-32C (Castagnoli, reflected, init and xorout all ones): x-amz-checksum-crc32c of S3.  The
 * checksum of "123456789" is 0xe3069283.
 */
#ifndef WORKER_BASE_CRC32C_H
#define WORKER_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

#define CRC32C_TEXT_MAX 9 /* 4 bytes in base64, and a NUL */

/* Continues crc (0 to begin) over len bytes.  Computed by ISA-L. */
uint32_t crc32c_update(uint32_t crc, const void *buf, size_t len);

/* The CRC of A‖B from crc(A), crc(B) and the length of B in bytes: gf2.h. */
uint32_t crc32c_combine(uint32_t crc_a, uint32_t crc_b, uint64_t len_b);

/* Writes base64 of the four bytes, the most significant first. */
void crc32c_format(uint32_t crc, char out[CRC32C_TEXT_MAX]);

/*
 * Reads the eight characters of base64 that the whole string must be.  The checksum of checksums of
 * a COMPOSITE object ("AAAAAA==-3") is thereby refused.  Returns 0 or -1.
 */
int crc32c_parse(const char *s, uint32_t *crc);

#endif
