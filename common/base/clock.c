#include "common/base/clock.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static int64_t
read_ms(clockid_t clock)
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
	return read_ms(CLOCK_MONOTONIC);
}

int64_t
clock_boot_ms(void)
{
	return read_ms(CLOCK_BOOTTIME);
}

time_t
clock_wall(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec;
}

int64_t
clock_wall_ms(void)
{
	return read_ms(CLOCK_REALTIME);
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

void
clock_write_time(char *buf, size_t size, int64_t seconds)
{
	time_t time = (time_t)seconds;
	struct tm tm;

	gmtime_r(&time, &tm);
	strftime(buf, size, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/* Reads exactly n digits of a number from least to most, and moves *text behind them. */
static int
take_number(const char **text, int n, int least, int most, int *number)
{
	*number = 0;
	for (; n > 0; n--, (*text)++) {
		if (**text < '0' || **text > '9')
			return -1;
		*number = *number * 10 + **text - '0';
	}
	return *number >= least && *number <= most ? 0 : -1;
}

static int
take_char(const char **text, const char *chars)
{
	if (**text == '\0' || strchr(chars, **text) == NULL)
		return -1;
	(*text)++;
	return 0;
}

/* Reads the zone, which ends the text.  *offset is in seconds east of Greenwich. */
static int
take_zone(const char **text, int *offset)
{
	int hours, minutes, sign = **text == '-' ? -1 : 1;

	*offset = 0;
	if (**text == '\0' || (take_char(text, "Zz") == 0 && **text == '\0'))
		return 0;
	if (take_char(text, "+-") == -1 || take_number(text, 2, 0, 23, &hours) == -1)
		return -1;
	take_char(text, ":");
	if (take_number(text, 2, 0, 59, &minutes) == -1 || **text != '\0')
		return -1;
	*offset = sign * (hours * 3600 + minutes * 60);
	return 0;
}

int
clock_parse_time(const char *text, int64_t *seconds)
{
	struct tm tm = { .tm_isdst = 0 };
	int offset, day;

	if (take_number(&text, 4, 1970, 9999, &tm.tm_year) == -1 || take_char(&text, "-") == -1 ||
	    take_number(&text, 2, 1, 12, &tm.tm_mon) == -1 || take_char(&text, "-") == -1 ||
	    take_number(&text, 2, 1, 31, &tm.tm_mday) == -1 || take_char(&text, "Tt ") == -1 ||
	    take_number(&text, 2, 0, 23, &tm.tm_hour) == -1 || take_char(&text, ":") == -1 ||
	    take_number(&text, 2, 0, 59, &tm.tm_min) == -1 || take_char(&text, ":") == -1 ||
	    take_number(&text, 2, 0, 60, &tm.tm_sec) == -1)
		return -1;
	if (take_char(&text, ".") == 0) {
		if (*text < '0' || *text > '9')
			return -1;
		text += strspn(text, "0123456789");
	}
	if (take_zone(&text, &offset) == -1)
		return -1;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	tm.tm_sec -= tm.tm_sec == 60; /* a leap second */
	day = tm.tm_mday;
	*seconds = (int64_t)timegm(&tm) - offset;
	return tm.tm_mday == day ? 0 : -1; /* timegm() turns the 30th of February into March */
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
