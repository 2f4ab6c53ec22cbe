/*
 * Sizes and durations with units, read from configurations and printed for people.
 */
#ifndef COMMON_UNITS_H
#define COMMON_UNITS_H

#include <stddef.h>
#include <stdint.h>

/*
 * "64M", "1536K", "2G", "100" (bytes) into bytes; K, M, G, T, P are powers of 1024, "B" or "iB" may follow.
 * Returns 0, or -1 for anything else, negative numbers and overflow included.
 */
int units_parse_size(const char *s, int64_t *bytes);

/*
 * "250ms", "30s", "5m", "2h", "1d", or "90" (seconds) into milliseconds. Returns 0 or -1.
 */
int units_parse_duration(const char *s, int64_t *ms);

/* Bytes as "300.0 MiB", "1.2 GiB", "512 B". Returns buf. size >= 16. */
char *units_format_size(char *buf, size_t size, int64_t bytes);

/* Bytes as the configuration would write them, exactly: "64M", "1536K", "100". Returns buf. */
char *units_exact_size(char *buf, size_t size, int64_t bytes);

/* Milliseconds as the configuration would write them, exactly: "250ms", "30s", "2h". Returns buf. */
char *units_exact_duration(char *buf, size_t size, int64_t ms);

#endif
