#include "worker/base/gf2.h"

/* The coefficient of x^degree. */
static uint64_t
power_of_x(const struct gf2_poly *p, int degree)
{
	return UINT64_C(1) << (p->bits - 1 - degree);
}

/* The product of a and b modulo the polynomial. */
static uint64_t
multiply(const struct gf2_poly *p, uint64_t a, uint64_t b)
{
	uint64_t product = 0, bit;

	for (bit = power_of_x(p, 0); bit != 0; bit >>= 1) {
		if (a & bit)
			product ^= b;
		b = b & 1 ? (b >> 1) ^ p->poly : b >> 1;
	}
	return product;
}

/* crc(A‖B) = crc(A)·x^(8·|B|) xor crc(B): init and xorout cancel out.  Squaring finds the power. */
uint64_t
gf2_combine(const struct gf2_poly *p, uint64_t crc_a, uint64_t crc_b, uint64_t len_b)
{
	uint64_t power = power_of_x(p, 0), square = power_of_x(p, 8);

	for (; len_b != 0; len_b >>= 1) {
		if (len_b & 1)
			power = multiply(p, power, square);
		square = multiply(p, square, square);
	}
	return multiply(p, crc_a, power) ^ crc_b;
}
