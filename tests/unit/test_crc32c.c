/*
 * CRC32C: the published vectors (RFC 3720, appendix B.4), combination against the update and
 * against zeros, and base64.
 */
#include <stdint.h>
#include <stdlib.h>

#include "tests/unit/tap.h"
#include "worker/base/crc32c.h"

static unsigned char data[64 * 1024];

/* A bit at a time, straight from the definition. */
static uint32_t
crc32c_slow(const unsigned char *p, size_t len)
{
	uint32_t crc = UINT32_MAX;

	for (; len > 0; len--, p++) {
		crc ^= *p;
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? (crc >> 1) ^ UINT32_C(0x82F63B78) : crc >> 1;
	}
	return ~crc;
}

static void
test_vectors(void)
{
	unsigned char block[32];

	ok(crc32c_update(0, "123456789", 9) == 0xe3069283, "the check value");
	memset(block, 0, sizeof(block));
	ok(crc32c_update(0, block, 32) == 0x8a9136aa, "32 zeros");
	memset(block, 0xff, sizeof(block));
	ok(crc32c_update(0, block, 32) == 0x62a8ab43, "32 ones");
	for (int i = 0; i < 32; i++)
		block[i] = (unsigned char)i;
	ok(crc32c_update(0, block, 32) == 0x46dd794e, "32 ascending bytes");
	ok(crc32c_update(0, "", 0) == 0, "no bytes have the CRC 0");
	ok(crc32c_update(0x1234, "", 0) == 0x1234, "no further bytes change nothing");
	ok(crc32c_update(0, data, sizeof(data)) == crc32c_slow(data, sizeof(data)),
	    "64 KiB as bit by bit");
}

static void
test_splits(void)
{
	uint32_t whole = crc32c_update(0, data, sizeof(data));
	int bad_update = 0, bad_combine = 0;

	for (int i = 0; i < 200; i++) {
		size_t at = i == 0   ? 0
			    : i == 1 ? sizeof(data)
				     : (size_t)random() % (sizeof(data) + 1);
		uint32_t a = crc32c_update(0, data, at),
			 b = crc32c_update(0, data + at, sizeof(data) - at);

		bad_update += crc32c_update(a, data + at, sizeof(data) - at) != whole;
		bad_combine += crc32c_combine(a, b, sizeof(data) - at) != whole;
	}
	is_int(bad_update, 0, "updates chain over 200 splits, empty sides included");
	is_int(
	    bad_combine, 0, "combination equals the update over 200 splits, empty sides included");
}

/* A length that needs more than 32 bits, made by doubling. */
static void
test_long(void)
{
	uint32_t doubled = crc32c_update(0, data, sizeof(data)), back;
	uint64_t len = sizeof(data);

	for (; len < UINT64_C(64) << 40; len *= 2)
		doubled = crc32c_combine(doubled, doubled, len);
	back = crc32c_combine(doubled, crc32c_update(0, data, 7), 7);
	ok(crc32c_update(doubled, data, 7) == back, "the CRC of 64 TiB continues like any other");
	ok(crc32c_combine(0, doubled, len) == doubled, "no bytes before them change nothing");
}

static void
test_text(void)
{
	static const char *const bad[] = { "", "4waSgw=", "4waSgw==-3", "4waSgw",
		"4waSgx==", "4wa gw==", "4waS====", "========", "4waSgw=A", "4\xc3\xbcSgw==" };
	char text[CRC32C_TEXT_MAX];
	uint32_t crc = 7;

	crc32c_format(0xe3069283, text);
	is_str(text, "4waSgw==", "base64 of the four bytes, the most significant first");
	ok(crc32c_parse("4waSgw==", &crc) == 0 && crc == 0xe3069283, "is read again");
	ok(crc32c_parse("AAAAAA==", &crc) == 0 && crc == 0, "and 0");
	ok(crc32c_parse("/////w==", &crc) == 0 && crc == UINT32_MAX, "and all ones");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		crc = 7;
		ok(crc32c_parse(bad[i], &crc) == -1 && crc == 7, "\"%s\" is refused", bad[i]);
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
	test_text();
	return done_testing();
}
