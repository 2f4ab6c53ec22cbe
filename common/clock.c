/*
 * The two clocks, and deadlines on the monotonic one.
 */
#include "common/clock.h"

#include <limits.h>
#include <stdio.h>

static int64_t
clock_read_ms(clockid_t clock)
{
	struct timespec ts;
	int64_t ms;

	clock_gettime(clock, &ts);
	ms = (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
	return ms > 0 ? ms : 1;
}

int64_t
clock_ms(void)
{
	return clock_read_ms(CLOCK_MONOTONIC);
}

int64_t
clock_boot_ms(void)
{
	return clock_read_ms(CLOCK_BOOTTIME);
}

time_t
clock_wall(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec;
}

void
clock_rfc3339(char *buf, size_t size)
{
	struct timespec ts;
	struct tm tm;
	char seconds[32];

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buf, size, "%s.%03dZ", seconds, (int)(ts.tv_nsec / 1000000));
}

int
clock_until(int64_t deadline)
{
	int64_t left;

	if (deadline == 0)
		return -1;
	left = deadline - clock_ms();
	if (left <= 0)
		return 0;
	return left < INT_MAX ? (int)left : INT_MAX;
}

int64_t
clock_earlier(int64_t a, int64_t b)
{
	if (a == 0)
		return b;
	if (b == 0)
		return a;
	return a < b ? a : b;
}
