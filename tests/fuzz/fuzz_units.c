/*
 * libFuzzer: any text is a size, a duration or a time.  What is taken is worth what a second,
 * plain reading of the text gives, and is the same when it is written and read again.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/units.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct unit {
	const char *name;
	int64_t factor;
};

static const struct unit sizes[] = {
	{ "", 1 },
	{ "B", 1 },
	{ "K", INT64_C(1) << 10 },
	{ "KB", INT64_C(1) << 10 },
	{ "KiB", INT64_C(1) << 10 },
	{ "M", INT64_C(1) << 20 },
	{ "MB", INT64_C(1) << 20 },
	{ "MiB", INT64_C(1) << 20 },
	{ "G", INT64_C(1) << 30 },
	{ "GB", INT64_C(1) << 30 },
	{ "GiB", INT64_C(1) << 30 },
	{ "T", INT64_C(1) << 40 },
	{ "TB", INT64_C(1) << 40 },
	{ "TiB", INT64_C(1) << 40 },
	{ "P", INT64_C(1) << 50 },
	{ "PB", INT64_C(1) << 50 },
	{ "PiB", INT64_C(1) << 50 },
	{ NULL, 0 },
};
static const struct unit durations[] = {
	{ "", 1000 },
	{ "ms", 1 },
	{ "s", 1000 },
	{ "m", 60000 },
	{ "h", 3600000 },
	{ "d", 86400000 },
	{ NULL, 0 },
};

/* The value in 128 bits, or -1 for a text that is none or that is too large. */
static int64_t
plain_value(const char *text, const struct unit *unit)
{
	size_t digits = strspn(text, "0123456789");
	__int128 value = 0;

	for (; unit->name != NULL && strcmp(unit->name, text + digits) != 0; unit++)
		continue;
	if (digits == 0 || unit->name == NULL)
		return -1;
	for (size_t i = 0; i < digits && value <= INT64_MAX; i++)
		value = value * 10 + (text[i] - '0');
	value *= unit->factor;
	return value <= INT64_MAX ? (int64_t)value : -1;
}

static void
check_texts(const char *text)
{
	char written[32];
	int64_t value, again, plain;
	int rc;

	plain = plain_value(text, sizes);
	rc = units_parse_size(text, &value);
	assert(rc == (plain == -1 ? -1 : 0) && (rc == -1 || value == plain));
	if (rc == 0)
		assert(units_parse_size(
			   units_exact_size(written, sizeof(written), value), &again) == 0 &&
		       again == value);
	plain = plain_value(text, durations);
	rc = units_parse_duration(text, &value);
	assert(rc == (plain == -1 ? -1 : 0) && (rc == -1 || value == plain));
	if (rc == 0)
		assert(units_parse_duration(
			   units_exact_duration(written, sizeof(written), value), &again) == 0 &&
		       again == value);
	(void)clock_parse_time(text, &value);
}

static void
check_number(int64_t number)
{
	char text[64], cut[16];

	units_format_size(text, sizeof(text), number);
	units_format_size(cut, sizeof(cut), number);
	assert(strcmp(text, cut) == 0 && strstr(text, "1024.0") == NULL);
	assert((text[0] == '-') == (number < 0));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);
	int64_t number = 0;

	memcpy(&number, data, size < sizeof(number) ? size : sizeof(number));
	check_number(number);
	check_texts(text);
	free(text);
	return 0;
}
