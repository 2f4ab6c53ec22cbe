#include "worker/base/crc32c.h"

#include <isa-l/crc.h>
#include <openssl/evp.h>
#include <string.h>

#include "worker/base/gf2.h"

#define PIECE_MAX (1 << 30) /* ISA-L counts bytes in an int */

/* 0x1EDC6F41, reflected */
static const struct gf2_poly poly = { .bits = 32, .poly = 0x82F63B78 };

uint32_t
crc32c_update(uint32_t crc, const void *buf, size_t len)
{
	/* ISA-L does not write; only its prototype lacks the const */
	unsigned char *p = (unsigned char *)(uintptr_t)buf;
	size_t n;

	crc = ~crc;
	for (; len > 0; p += n, len -= n) {
		n = len < PIECE_MAX ? len : PIECE_MAX;
		crc = crc32_iscsi(p, (int)n, crc);
	}
	return ~crc;
}

uint32_t
crc32c_combine(uint32_t crc_a, uint32_t crc_b, uint64_t len_b)
{
	return (uint32_t)gf2_combine(&poly, crc_a, crc_b, len_b);
}

void
crc32c_format(uint32_t crc, char out[CRC32C_TEXT_MAX])
{
	const unsigned char bytes[4] = { (unsigned char)(crc >> 24), (unsigned char)(crc >> 16),
		(unsigned char)(crc >> 8), (unsigned char)crc };

	EVP_EncodeBlock((unsigned char *)out, bytes, sizeof(bytes));
}

int
crc32c_parse(const char *s, uint32_t *crc)
{
	unsigned char bytes[8];
	char again[CRC32C_TEXT_MAX];
	uint32_t value;

	if (strlen(s) != CRC32C_TEXT_MAX - 1 ||
	    EVP_DecodeBlock(bytes, (const unsigned char *)s, CRC32C_TEXT_MAX - 1) != 6)
		return -1;
	value = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
		bytes[3];
	/* libcrypto reports neither wrong padding nor leftover bits: accept the one right spelling
	 */
	crc32c_format(value, again);
	if (strcmp(again, s) != 0)
		return -1;
	*crc = value;
	return 0;
}
