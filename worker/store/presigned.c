#include "worker/store/presigned.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define VALUE_MAX 64 /* bytes; a longer value is none of these */

/* The value of a field of the query, in value; "" if there is none. */
static const char *
field(const char *url, const char *name, char value[VALUE_MAX])
{
	const char *at = strchr(url, '?');
	size_t len = strlen(name), n;

	value[0] = '\0';
	for (; at != NULL; at = strchr(at, '&')) {
		at++;
		if (strncasecmp(at, name, len) != 0 || at[len] != '=')
			continue;
		at += len + 1;
		n = strcspn(at, "&#");
		if (n < VALUE_MAX) {
			memcpy(value, at, n);
			value[n] = '\0';
		}
		break;
	}
	return value;
}

/* Returns -1 if text is no number. */
static int64_t
number(const char *text)
{
	char *end;
	long long n = strtoll(text, &end, 10);

	return end == text || *end != '\0' || n < 0 || n > INT32_MAX * INT64_C(8) ? -1 : n;
}

static int64_t
end_by_date(const char *url, const char *date_name, const char *expires_name)
{
	char date[VALUE_MAX], expires[VALUE_MAX];
	int64_t seconds = number(field(url, expires_name, expires));
	struct tm tm;
	const char *end;

	memset(&tm, 0, sizeof(tm));
	end = strptime(field(url, date_name, date), "%Y%m%dT%H%M%SZ", &tm);
	return seconds == -1 || end == NULL || *end != '\0' ? -1 : timegm(&tm) + seconds;
}

/* "start;end", where the semicolon may be encoded. */
static int64_t
end_of_span(const char *url, const char *name)
{
	char span[VALUE_MAX];
	const char *at = field(url, name, span) + strcspn(span, ";%");

	if (*at == ';')
		return number(at + 1);
	return strncasecmp(at, "%3b", 3) == 0 ? number(at + 3) : -1;
}

static int64_t
earlier(int64_t a, int64_t b)
{
	return b == -1 || (a != -1 && a < b) ? a : b;
}

static int64_t
end_of(const char *url)
{
	char expires[VALUE_MAX];
	int64_t end = end_by_date(url, "X-Amz-Date", "X-Amz-Expires");

	end = earlier(end, end_by_date(url, "X-Goog-Date", "X-Goog-Expires"));
	end = earlier(end, end_of_span(url, "q-sign-time"));
	end = earlier(end, end_of_span(url, "q-key-time"));
	return earlier(end, number(field(url, "Expires", expires)));
}

bool
presigned_is_over(const char *url, int64_t now, char when[PRESIGNED_WHEN_MAX])
{
	int64_t known = end_of(url);
	time_t end = (time_t)known;
	struct tm tm;

	when[0] = '\0';
	if (known == -1)
		return false;
	strftime(when, PRESIGNED_WHEN_MAX, " at %Y-%m-%dT%H:%M:%SZ", gmtime_r(&end, &tm));
	return now > known;
}
