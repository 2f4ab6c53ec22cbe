/*
 * Sizes, durations and deadlines are read, refused and printed.
 */
#include <limits.h>

#include "common/base/clock.h"
#include "common/base/units.h"
#include "tests/unit/tap.h"

#define KIB ((int64_t)1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

static void
test_sizes(void)
{
	static const struct {
		const char *text;
		int64_t bytes; /* -1: refused */
		const char *exact;
	} cases[] = {
		{ "0", 0, "0" },
		{ "100", 100, "100" },
		{ "100B", 100, "100" },
		{ "1536K", 1536 * KIB, "1536K" },
		{ "1024K", MIB, "1M" },
		{ "64M", 64 * MIB, "64M" },
		{ "64MB", 64 * MIB, "64M" },
		{ "64MiB", 64 * MIB, "64M" },
		{ "2G", 2 * GIB, "2G" },
		{ "3T", 3 * 1024 * GIB, "3T" },
		{ "8191P", GIB * 1024 * 1024 * 8191, "8191P" },
		{ "9223372036854775807", INT64_MAX, "9223372036854775807" },
		{ "9223372036854775808", -1, NULL },
		{ "8192P", -1, NULL },
		{ "99999999999999999999999", -1, NULL },
		{ "", -1, NULL },
		{ "M", -1, NULL },
		{ "-1", -1, NULL },
		{ "+1", -1, NULL },
		{ " 1", -1, NULL },
		{ "1 M", -1, NULL },
		{ "1M ", -1, NULL },
		{ "1.5G", -1, NULL },
		{ "1m", -1, NULL },
		{ "1MiBi", -1, NULL },
		{ "1iB", -1, NULL },
		{ "0x10", -1, NULL },
	};
	char buf[32];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t bytes = -1;

		is_int(units_parse_size(cases[i].text, &bytes), cases[i].exact ? 0 : -1,
		    "size '%s' is %s", cases[i].text, cases[i].exact ? "read" : "refused");
		if (cases[i].exact == NULL)
			continue;
		is_int(bytes, cases[i].bytes, "size '%s' in bytes", cases[i].text);
		is_str(units_exact_size(buf, sizeof(buf), bytes), cases[i].exact,
		    "size '%s' printed exactly", cases[i].text);
	}
}

static void
test_durations(void)
{
	static const struct {
		const char *text;
		int64_t ms;
		const char *exact;
	} cases[] = {
		{ "0", 0, "0" },
		{ "250ms", 250, "250ms" },
		{ "1000ms", 1000, "1s" },
		{ "90", 90000, "90s" },
		{ "30s", 30000, "30s" },
		{ "60s", 60000, "1m" },
		{ "2h", 7200000, "2h" },
		{ "48h", 172800000, "2d" },
		{ "", -1, NULL },
		{ "s", -1, NULL },
		{ "-1s", -1, NULL },
		{ "1w", -1, NULL },
		{ "1 s", -1, NULL },
		{ "1sx", -1, NULL },
		{ "1.5s", -1, NULL },
		{ "106751991168d", -1, NULL },
	};
	char buf[32];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t ms = -1;

		is_int(units_parse_duration(cases[i].text, &ms), cases[i].exact ? 0 : -1,
		    "duration '%s' is %s", cases[i].text, cases[i].exact ? "read" : "refused");
		if (cases[i].exact == NULL)
			continue;
		is_int(ms, cases[i].ms, "duration '%s' in milliseconds", cases[i].text);
		is_str(units_exact_duration(buf, sizeof(buf), ms), cases[i].exact,
		    "duration '%s' printed exactly", cases[i].text);
	}
}

static void
test_formatting(void)
{
	char buf[32];

	is_str(units_format_size(buf, sizeof(buf), 0), "0 B", "no bytes");
	is_str(units_format_size(buf, sizeof(buf), 1023), "1023 B", "bytes");
	is_str(units_format_size(buf, sizeof(buf), 1024), "1.0 KiB", "a KiB");
	is_str(units_format_size(buf, sizeof(buf), 300 * MIB), "300.0 MiB", "MiB");
	is_str(units_format_size(buf, sizeof(buf), 1288490189), "1.2 GiB", "GiB");
	is_str(units_format_size(buf, sizeof(buf), MIB - 1), "1.0 MiB",
	    "one byte less than a MiB is not 1024.0 KiB");
	is_str(units_format_size(buf, sizeof(buf), INT64_MAX), "8.0 EiB", "the most");
	is_str(units_format_size(buf, sizeof(buf), -2048), "-2.0 KiB", "less than nothing");
}

static void
test_deadlines(void)
{
	char now[32];
	int64_t ms = clock_ms();
	int left;

	is_int(clock_until(0), -1, "no deadline is waited for without end");
	is_int(clock_until(ms - 5000), 0, "a deadline that passed is not negative");
	left = clock_until(ms + 5000);
	ok(left > 4000 && left <= 5000, "a deadline in 5 s is %d ms away", left);
	is_int(clock_until(INT64_MAX), INT_MAX, "a deadline beyond int is cut");
	is_int(clock_earlier(0, 7), 7, "none and one");
	is_int(clock_earlier(7, 0), 7, "one and none");
	is_int(clock_earlier(9, 7), 7, "the earlier one");
	clock_rfc3339(now, sizeof(now));
	is_int(strlen(now), 24, "the wall clock has the form of %s", now);
	ok(now[10] == 'T' && now[19] == '.' && now[23] == 'Z', "it is UTC with milliseconds");
}

int
main(void)
{
	test_sizes();
	test_durations();
	test_formatting();
	test_deadlines();
	return done_testing();
}
