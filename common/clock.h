/*
 * Time, in the two kinds that must never be mixed: the monotonic clock for
 * everything that waits or expires, the wall clock for what people and
 * signatures read.
 */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* Milliseconds on CLOCK_MONOTONIC. Never 0, so 0 can mean "no deadline". */
int64_t clock_ms(void);

/*
 * Milliseconds on CLOCK_BOOTTIME, which goes on while the machine sleeps: for leases, which others count meanwhile.  The same in all
 * processes of a machine.
 */
int64_t clock_boot_ms(void);

/* Seconds on CLOCK_REALTIME, for signatures. */
time_t clock_wall(void);

/* The wall clock as RFC 3339 in UTC with milliseconds: 2026-11-23T22:30:05.123Z. size >= 25. */
void clock_rfc3339(char *buf, size_t size);

/* Milliseconds from now until deadline, for poll(): -1 if deadline is 0, never negative otherwise. */
int clock_until(int64_t deadline);

/* The earlier of two deadlines, 0 meaning "none". */
int64_t clock_earlier(int64_t a, int64_t b);

#endif
