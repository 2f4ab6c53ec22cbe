#include "worker/store/etag.h"

#include <stdio.h>
#include <string.h>

#include "common/base/text.h"

#define MD5_DIGITS 32

const char *
store_etag_opaque(const char *etag)
{
	return strncmp(etag, "W/", 2) == 0 ? etag + 2 : etag;
}

bool
store_etag_is_same(const char *a, const char *b)
{
	return strcmp(store_etag_opaque(a), store_etag_opaque(b)) == 0;
}

bool
store_etag_has_form(const char *etag, int nparts)
{
	char digits[MD5_DIGITS + 1], tail[16] = "";

	etag = store_etag_opaque(etag);
	if (strlcpy(digits, etag, sizeof(digits)) < MD5_DIGITS || !text_is_hex(digits, MD5_DIGITS))
		return false;
	if (nparts > 0)
		snprintf(tail, sizeof(tail), "-%d", nparts);
	return strcmp(etag + MD5_DIGITS, tail) == 0;
}
