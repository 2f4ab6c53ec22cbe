/*
 * CRC-64/XZ: the update is ISA-L's; the combination of neighbouring ranges, which ISA-L lacks, is done here, and so is
 * the reading of the decimal form in which COS sends it.
 */
#include "worker/crc64.h"

#include <isa-l/crc64.h>

/* The polynomial 0x42F0E1EBA9EA3693, reflected: bit 63 is the coefficient of x^0, bit 0 that of x^63. */
#define CRC64_POLY UINT64_C(0xC96C5795D7870F42)
#define CRC64_ONE (UINT64_C(1) << 63) /* x^0 */
#define CRC64_X8 (UINT64_C(1) << 55)  /* x^8: one byte further */

uint64_t
crc64_update(uint64_t crc, const void *buf, size_t len)
{
	return crc64_ecma_refl(crc, buf, len);
}

/* The product of two polynomials modulo CRC64_POLY. */
static uint64_t
multiply(uint64_t a, uint64_t b)
{
	uint64_t product = 0;

	for (; a != 0; a <<= 1) {
		if (a & CRC64_ONE)
			product ^= b;
		b = b & 1 ? (b >> 1) ^ CRC64_POLY : b >> 1;
	}
	return product;
}

/*
 * crc(A‖B) = crc(A)·x^(8·|B|) xor crc(B): init and xorout, being the same, cancel out.  The power is found by squaring.
 */
uint64_t
crc64_combine(uint64_t crc_a, uint64_t crc_b, uint64_t len_b)
{
	uint64_t power = CRC64_ONE, square = CRC64_X8;

	for (; len_b != 0; len_b >>= 1) {
		if (len_b & 1)
			power = multiply(power, square);
		square = multiply(square, square);
	}
	return multiply(crc_a, power) ^ crc_b;
}

int
crc64_parse(const char *s, uint64_t *crc)
{
	uint64_t value = 0;

	if (*s == '\0')
		return -1;
	for (; *s != '\0'; s++) {
		if (*s < '0' || *s > '9')
			return -1;
		if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*s - '0'), &value))
			return -1;
	}
	*crc = value;
	return 0;
}
