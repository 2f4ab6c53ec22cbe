/*
 * CRC64: the published vectors, and combination against a second implementation.
 */
#include <stdint.h>
#include <stdlib.h>

#include "tests/unit/tap.h"
#include "worker/base/crc64.h"

static unsigned char data[64 * 1024];

/* A bit at a time, straight from the definition. */
static uint64_t
crc64_slow(uint64_t crc, const unsigned char *p, size_t len)
{
	crc = ~crc;
	for (; len > 0; len--, p++) {
		crc ^= *p;
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? (crc >> 1) ^ UINT64_C(0xC96C5795D7870F42) : crc >> 1;
	}
	return ~crc;
}

/*
 * A second way to combine: apart from init and xorout, zero bytes change the register by a linear
 * map.  Here it is a matrix over GF(2), one column for each bit, squared as often as needed.
 */
static uint64_t
matrix_times(const uint64_t m[64], uint64_t vector)
{
	uint64_t sum = 0;

	for (int i = 0; i < 64; i++)
		if (vector >> i & 1)
			sum ^= m[i];
	return sum;
}

static uint64_t
combine_by_matrix(uint64_t crc_a, uint64_t crc_b, uint64_t len_b)
{
	uint64_t m[64], square[64];

	for (int i = 0; i < 64; i++) {
		uint64_t v = UINT64_C(1) << i;

		for (int bit = 0; bit < 8; bit++)
			v = v & 1 ? (v >> 1) ^ UINT64_C(0xC96C5795D7870F42) : v >> 1;
		m[i] = v;
	}
	for (; len_b != 0; len_b >>= 1) {
		if (len_b & 1)
			crc_a = matrix_times(m, crc_a);
		for (int i = 0; i < 64; i++)
			square[i] = matrix_times(m, m[i]);
		memcpy(m, square, sizeof(m));
	}
	return crc_a ^ crc_b;
}

static void
test_vectors(void)
{
	ok(crc64_update(0, "123456789", 9) == UINT64_C(0x995dc9bbdf1939fa),
	    "the check value of CRC-64/XZ");
	ok(crc64_update(0, "[Object Part]", 13) == UINT64_C(4510578591875220731),
	    "the vector of COS");
	ok(crc64_update(0, "", 0) == 0, "no bytes have the CRC 0");
	ok(crc64_update(UINT64_C(0x1234), "", 0) == 0x1234, "no further bytes change nothing");
	ok(crc64_update(0, data, sizeof(data)) == crc64_slow(0, data, sizeof(data)),
	    "64 KiB as bit by bit");
}

static void
test_splits(void)
{
	uint64_t whole = crc64_update(0, data, sizeof(data));
	int bad_update = 0, bad_combine = 0;

	for (int i = 0; i < 200; i++) {
		size_t at = i == 0   ? 0
			    : i == 1 ? sizeof(data)
				     : (size_t)random() % (sizeof(data) + 1);
		uint64_t a = crc64_update(0, data, at),
			 b = crc64_update(0, data + at, sizeof(data) - at);

		bad_update += crc64_update(a, data + at, sizeof(data) - at) != whole;
		bad_combine += crc64_combine(a, b, sizeof(data) - at) != whole;
	}
	is_int(bad_update, 0, "updates chain over 200 splits, empty sides included");
	is_int(
	    bad_combine, 0, "combination equals the update over 200 splits, empty sides included");
}

static void
test_long(void)
{
	static const uint64_t lengths[] = { UINT64_C(1) << 32, (UINT64_C(1) << 32) + 1,
		(UINT64_C(5) << 30) - 13, UINT64_C(53687091200000), (UINT64_C(1) << 63) + 12345,
		UINT64_MAX };
	uint64_t doubled = crc64_update(0, data, 4096), two = crc64_update(doubled, data, 4096);
	int bad = 0;

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
		for (int j = 0; j < 20; j++) {
			uint64_t a = (uint64_t)random() << 33 ^ (uint64_t)random(),
				 b = (uint64_t)random() << 31;

			bad +=
			    crc64_combine(a, b, lengths[i]) != combine_by_matrix(a, b, lengths[i]);
		}
	is_int(bad, 0, "lengths over 4 GiB combine as the matrices do");

	ok(crc64_combine(doubled, doubled, 4096) == two,
	    "the matrices are right for twice the same 4 KiB");
	for (uint64_t len = 4096; len < UINT64_C(8) << 30; len *= 2)
		doubled = crc64_combine(doubled, doubled, len);
	two = crc64_combine(doubled, crc64_update(0, data, 7), 7);
	ok(crc64_update(doubled, data, 7) == two, "the CRC of 8 GiB continues like any other");
}

static void
test_parse(void)
{
	static const char *const bad[] = { "", " 1", "1 ", "-1", "+1", "0x10", "1a",
		"18446744073709551616", "99999999999999999999", "184467440737095516150" };
	uint64_t crc = 7;

	ok(crc64_parse("4510578591875220731", &crc) == 0 && crc == UINT64_C(4510578591875220731),
	    "decimal is read");
	ok(crc64_parse("18446744073709551615", &crc) == 0 && crc == UINT64_MAX,
	    "up to the largest");
	ok(crc64_parse("0", &crc) == 0 && crc == 0, "and 0");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		crc = 7;
		ok(crc64_parse(bad[i], &crc) == -1 && crc == 7, "\"%s\" is refused", bad[i]);
	}
}

int
main(void)
{
	srandom(20130524);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)random();
	test_vectors();
	test_splits();
	test_long();
	test_parse();
	return done_testing();
}
