/*
 * CRC-32C: the update is ISA-L's, by the processor's own instruction; combination, and the form in which S3 sends it, are
 * done here.
 */
#include "worker/crc32c.h"

#include <isa-l/crc.h>
#include <openssl/evp.h>
#include <string.h>

/* The polynomial 0x1EDC6F41, reflected: bit 31 is the coefficient of x^0, bit 0 that of x^31. */
#define CRC32C_POLY UINT32_C(0x82F63B78)
#define CRC32C_ONE (UINT32_C(1) << 31) /* x^0 */
#define CRC32C_X8 (UINT32_C(1) << 23)  /* x^8: one byte further */
#define CRC32C_PIECE (1 << 30)	       /* ISA-L counts in int */

uint32_t
crc32c_update(uint32_t crc, const void *buf, size_t len)
{
	/* ISA-L writes nothing there; its prototype merely lacks the const */
	unsigned char *p = (unsigned char *)(uintptr_t)buf;
	size_t n;

	crc = ~crc;
	for (; len > 0; p += n, len -= n) {
		n = len < CRC32C_PIECE ? len : CRC32C_PIECE;
		crc = crc32_iscsi(p, (int)n, crc);
	}
	return ~crc;
}

/* The product of two polynomials modulo CRC32C_POLY. */
static uint32_t
multiply(uint32_t a, uint32_t b)
{
	uint32_t product = 0;

	for (; a != 0; a <<= 1) {
		if (a & CRC32C_ONE)
			product ^= b;
		b = b & 1 ? (b >> 1) ^ CRC32C_POLY : b >> 1;
	}
	return product;
}

/* As crc64_combine(). */
uint32_t
crc32c_combine(uint32_t crc_a, uint32_t crc_b, uint64_t len_b)
{
	uint32_t power = CRC32C_ONE, square = CRC32C_X8;

	for (; len_b != 0; len_b >>= 1) {
		if (len_b & 1)
			power = multiply(power, square);
		square = multiply(square, square);
	}
	return multiply(crc_a, power) ^ crc_b;
}

void
crc32c_format(uint32_t crc, char out[CRC32C_TEXT_MAX])
{
	const unsigned char bytes[4] = { (unsigned char)(crc >> 24), (unsigned char)(crc >> 16), (unsigned char)(crc >> 8),
		(unsigned char)crc };

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
	value = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
	/* libcrypto tells neither how much was padding nor whether bits were left over: only one spelling is right */
	crc32c_format(value, again);
	if (strcmp(again, s) != 0)
		return -1;
	*crc = value;
	return 0;
}
