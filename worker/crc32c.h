/*
 * CRC-32C (Castagnoli, reflected, init and xorout all ones): what S3 calls x-amz-checksum-crc32c.
 * Check value of "123456789": 0xe3069283.
 */
#ifndef WORKER_CRC32C_H
#define WORKER_CRC32C_H

#include <stddef.h>
#include <stdint.h>

#define CRC32C_TEXT_MAX 9 /* 4 bytes in base64, and a NUL */

/* Continues crc (0 to begin) over len bytes.  Computed by ISA-L. */
uint32_t crc32c_update(uint32_t crc, const void *buf, size_t len);

/* The CRC of A‖B from crc(A), crc(B) and the length of B in bytes; O(log len_b). */
uint32_t crc32c_combine(uint32_t crc_a, uint32_t crc_b, uint64_t len_b);

/* As it is sent: base64 of its four bytes, the most significant first. */
void crc32c_format(uint32_t crc, char out[CRC32C_TEXT_MAX]);

/*
 * Eight characters, the whole string, nothing else; returns 0 or -1.  So what is no checksum of the bytes, such as the one of
 * checksums that a multipart object of the type COMPOSITE has ("AAAAAA==-3"), is refused.
 */
int crc32c_parse(const char *s, uint32_t *crc);

#endif
