/*
 * Sizes and durations with units, as the configuration and people write them.
 */
#ifndef COMMON_BASE_UNITS_H
#define COMMON_BASE_UNITS_H

#include <stddef.h>
#include <stdint.h>

/*
 * Reads a size such as "64M", "1536K" or "100" (bytes).  K, M, G, T and P are powers of 1024; "B"
 * or "iB" may follow.  Returns 0, or -1 for anything else, a negative number or an overflow.
 */
int units_parse_size(const char *s, int64_t *bytes);

/* Reads a duration such as "250ms", "30s", "5m", "2h", "1d" or "90" (seconds).  Returns 0 or -1. */
int units_parse_duration(const char *s, int64_t *ms);

/* Writes bytes for people: "300.0 MiB", "512 B".  size >= 16.  Returns buf. */
char *units_format_size(char *buf, size_t size, int64_t bytes);

/* Writes bytes exactly, for the configuration: "64M", "1536K", "100".  Returns buf. */
char *units_exact_size(char *buf, size_t size, int64_t bytes);

/* Writes milliseconds exactly, for the configuration: "250ms", "30s", "2h".  Returns buf. */
char *units_exact_duration(char *buf, size_t size, int64_t ms);

#endif
