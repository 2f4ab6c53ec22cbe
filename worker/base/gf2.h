/*
 * Arithmetic of reflected CRCs: polynomials over GF(2), modulo the CRC's own polynomial.
 */
#ifndef WORKER_BASE_GF2_H
#define WORKER_BASE_GF2_H

#include <stdint.h>

/* A CRC's polynomial, reflected: the highest of the bits is the coefficient of x^0. */
struct gf2_poly {
	int bits; /* 64 at most */
	uint64_t poly;
};

/*
 * The CRC of A‖B from crc(A), crc(B) and the length of B in bytes; takes O(log len_b).  It holds
 * for CRCs whose init and xorout are the same.
 */
uint64_t gf2_combine(const struct gf2_poly *poly, uint64_t crc_a, uint64_t crc_b, uint64_t len_b);

#endif
