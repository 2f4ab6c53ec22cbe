#include "common/base/units.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct unit {
	const char *name;
	int64_t factor;
};

static const struct unit size_units[] = {
	{ "P", (int64_t)1 << 50 },
	{ "T", (int64_t)1 << 40 },
	{ "G", (int64_t)1 << 30 },
	{ "M", (int64_t)1 << 20 },
	{ "K", (int64_t)1 << 10 },
	{ "", 1 },
};

/* A number without a unit is in seconds.  "" comes last, so that it is never written. */
static const struct unit duration_units[] = {
	{ "d", 86400000 },
	{ "h", 3600000 },
	{ "m", 60000 },
	{ "s", 1000 },
	{ "ms", 1 },
	{ "", 1000 },
};

#define NELEM(a) (sizeof(a) / sizeof((a)[0]))

/* Reads decimal digits, without sign or space.  Returns the text behind them, or NULL. */
static const char *
parse_digits(const char *s, int64_t *number)
{
	const char *p;

	*number = 0;
	for (p = s; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(*number, 10, number) ||
		    __builtin_add_overflow(*number, *p - '0', number))
			return NULL;
	return p > s ? p : NULL;
}

int
units_parse_size(const char *s, int64_t *bytes)
{
	int64_t number;
	const char *rest = parse_digits(s, &number);
	size_t i, len;

	if (rest == NULL)
		return -1;
	for (i = 0; i < NELEM(size_units); i++) {
		len = strlen(size_units[i].name);
		if (strncmp(rest, size_units[i].name, len) == 0)
			break;
	}
	rest += len;
	if (*rest != '\0' && strcmp(rest, "B") != 0 && (len == 0 || strcmp(rest, "iB") != 0))
		return -1;
	return __builtin_mul_overflow(number, size_units[i].factor, bytes) ? -1 : 0;
}

int
units_parse_duration(const char *s, int64_t *ms)
{
	int64_t number;
	const char *rest = parse_digits(s, &number);
	size_t i;

	if (rest == NULL)
		return -1;
	for (i = 0; i < NELEM(duration_units); i++)
		if (strcmp(rest, duration_units[i].name) == 0)
			return __builtin_mul_overflow(number, duration_units[i].factor, ms) ? -1
											    : 0;
	return -1;
}

char *
units_format_size(char *buf, size_t size, int64_t bytes)
{
	static const char *const names[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double value = (double)bytes / 1024;
	size_t i = 0;

	if (bytes < 1024 && bytes > -1024) {
		snprintf(buf, size, "%d B", (int)bytes);
		return buf;
	}
	/* 1023.95 and more would be printed as 1024.0. */
	for (; (value >= 1023.95 || value <= -1023.95) && i + 1 < NELEM(names); i++)
		value /= 1024;
	snprintf(buf, size, "%.1f %s", value, names[i]);
	return buf;
}

/* Writes value in the largest unit that divides it. */
static char *
format_exact(char *buf, size_t size, int64_t value, const struct unit *unit)
{
	if (value == 0) {
		snprintf(buf, size, "0");
		return buf;
	}
	while (unit->factor > 1 && value % unit->factor != 0)
		unit++;
	snprintf(buf, size, "%" PRId64 "%s", value / unit->factor, unit->name);
	return buf;
}

char *
units_exact_size(char *buf, size_t size, int64_t bytes)
{
	return format_exact(buf, size, bytes, size_units);
}

char *
units_exact_duration(char *buf, size_t size, int64_t ms)
{
	return format_exact(buf, size, ms, duration_units);
}
