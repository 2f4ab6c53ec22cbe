#include "worker/base/crc64.h"

#include <isa-l/crc64.h>

#include "worker/base/gf2.h"

/* 0x42F0E1EBA9EA3693, reflected */
static const struct gf2_poly poly = { .bits = 64, .poly = UINT64_C(0xC96C5795D7870F42) };

uint64_t
crc64_update(uint64_t crc, const void *buf, size_t len)
{
	return crc64_ecma_refl(crc, buf, len);
}

uint64_t
crc64_combine(uint64_t crc_a, uint64_t crc_b, uint64_t len_b)
{
	return gf2_combine(&poly, crc_a, crc_b, len_b);
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
