/*
 * libFuzzer: any text is the value of Content-Range or of Content-Length.  What is taken equals
 * what a second, plain reading of RFC 9110, 14.4 and 8.6, gives; what contradicts itself is not
 * taken.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/store/answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct config_store store = { .name = "s3", .kind = STORE_S3 };

/* Digits at *p, in 128 bits, or -1.  *p moves behind them. */
static __int128
digits(const char **p)
{
	size_t n = strspn(*p, "0123456789");
	__int128 value = n == 0 ? -1 : 0;

	for (; n > 0; n--, (*p)++)
		if (value <= INT64_MAX)
			value = value * 10 + (**p - '0');
	return value;
}

/* Whether the value is "bytes FIRST-LAST/TOTAL" and makes sense. */
static bool
is_range(const char *value, __int128 *first, __int128 *last, __int128 *total)
{
	const char *p = value + strlen("bytes ");

	if (strncasecmp(value, "bytes ", strlen("bytes ")) != 0)
		return false;
	p += strspn(p, " ");
	*first = digits(&p);
	if (*p++ != '-')
		return false;
	*last = digits(&p);
	if (*p++ != '/')
		return false;
	*total = strcmp(p, "*") == 0 ? -1 : digits(&p);
	if (*total == -1)
		return strcmp(p, "*") == 0 && *first >= 0 && *first <= *last && *last <= INT64_MAX;
	return *p == '\0' && *first >= 0 && *first <= *last && *last < *total &&
	       *total <= INT64_MAX;
}

static void
check_range(const char *value)
{
	__int128 first, last, total;
	struct object_info info;

	object_info_init(&info);
	store_take_header(&store, &info, "Content-Range", value);
	if (is_range(value, &first, &last, &total))
		assert(info.range_first == first && info.range_last == last && info.size == total &&
		       info.range_total == total);
	else
		assert(info.range_first == -1 && info.range_last == -1);
	assert(info.size >= -1 && info.size == info.range_total);
	object_info_release(&info);
}

static void
check_length(const char *value)
{
	const char *p = value;
	__int128 length = digits(&p);
	bool valid = length >= 0 && length <= INT64_MAX && *p == '\0';
	struct object_info info;

	object_info_init(&info);
	store_take_header(&store, &info, "content-length", value);
	assert(
	    info.content_length == (valid ? length : -1) && (info.bad_length[0] == '\0') == valid);
	object_info_release(&info);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);

	check_range(text);
	check_length(text);
	free(text);
	return 0;
}
