#include "common/base/text.h"

#include <string.h>

bool
text_is_plain(const char *s)
{
	for (; *s != '\0'; s++)
		if (!text_is_printable(*s))
			return false;
	return true;
}

void
text_make_plain(char *s)
{
	for (; *s != '\0'; s++)
		if (!text_is_printable(*s))
			*s = '?';
}

void
text_mask_controls(char *s)
{
	for (; *s != '\0'; s++)
		if (text_is_control(*s))
			*s = '?';
}

void
text_make_lower(char *s)
{
	for (; *s != '\0'; s++)
		*s = text_lower(*s);
}

bool
text_is_hex(const char *s, size_t n)
{
	return strlen(s) == n && strspn(s, "0123456789abcdefABCDEF") == n;
}

char *
text_hex(char *hex, const unsigned char *bytes, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	size_t i;

	for (i = 0; i < n; i++) {
		hex[2 * i] = digits[bytes[i] >> 4];
		hex[2 * i + 1] = digits[bytes[i] & 15];
	}
	hex[2 * n] = '\0';
	return hex;
}
