/*
 * The smallest Test Anything Protocol producer: a check a line, a plan at the end, exit status 1 if
 * one failed.
 */
#ifndef TESTS_UNIT_TAP_H
#define TESTS_UNIT_TAP_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int tap_count, tap_failed;

static bool __attribute__((format(printf, 2, 3), unused)) ok(bool passed, const char *fmt, ...)
{
	va_list ap;

	printf("%sok %d - ", passed ? "" : "not ", ++tap_count);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	if (!passed)
		tap_failed++;
	fflush(stdout);
	return passed;
}

#define is_int(got, want, ...) tap_is_int((intmax_t)(got), (intmax_t)(want), __VA_ARGS__)
#define is_str(got, want, ...) tap_is_str((got), (want), __VA_ARGS__)

#define tap_is_int(got, want, ...)                                                            \
	do {                                                                                  \
		intmax_t tap_got = (got), tap_want = (want);                                  \
		if (!ok(tap_got == tap_want, __VA_ARGS__))                                    \
			printf("# got %" PRIdMAX ", want %" PRIdMAX "\n", tap_got, tap_want); \
	} while (0)

#define tap_is_str(got, want, ...)                                                                \
	do {                                                                                      \
		const char *tap_got = (got), *tap_want = (want);                                  \
		if (!ok(tap_got != NULL && strcmp(tap_got, tap_want) == 0, __VA_ARGS__))          \
			printf("# got  %s\n# want %s\n", tap_got ? tap_got : "(null)", tap_want); \
	} while (0)

static int __attribute__((unused)) done_testing(void)
{
	printf("1..%d\n", tap_count);
	return tap_failed ? 1 : 0;
}

#endif
