/*
 * Clocks and deadlines.  Waits and deadlines use the monotonic clock; people and signatures read
 * the wall clock.  The two are never mixed.
 */
#ifndef COMMON_BASE_CLOCK_H
#define COMMON_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* Milliseconds on CLOCK_MONOTONIC.  Never 0, so that 0 can mean "no deadline". */
int64_t clock_ms(void);

/*
 * Milliseconds on CLOCK_BOOTTIME, for leases: this clock counts while the machine sleeps, as the
 * other nodes do.  All processes of a machine read the same time.
 */
int64_t clock_boot_ms(void);

/* Seconds on CLOCK_REALTIME, for signatures. */
time_t clock_wall(void);

/* Milliseconds since 1970 on CLOCK_REALTIME, for what people are shown. */
int64_t clock_wall_ms(void);

/* The wall clock in UTC as RFC 3339: 2026-11-23T22:30:05.123Z.  size >= 25. */
void clock_rfc3339(char *buf, size_t size);

/* Seconds since 1970 in UTC as RFC 3339: 2026-11-23T22:30:05Z.  size >= 21. */
void clock_write_time(char *buf, size_t size, int64_t seconds);

/*
 * Reads a time of RFC 3339: 2026-11-23T22:30:05.123Z, 2026-11-23 22:30:05+01:00.  The zone may also
 * be +0100, or be left out for UTC; fractions of a second are dropped.  Returns 0, or -1.
 */
int clock_parse_time(const char *text, int64_t *seconds);

/* Milliseconds until deadline, for poll(): -1 if deadline is 0, else never negative. */
int clock_until(int64_t deadline);

/* The earlier of two deadlines; 0 is no deadline. */
int64_t clock_earlier(int64_t a, int64_t b);

#endif
