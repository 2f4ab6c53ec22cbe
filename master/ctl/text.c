/*
 * Strings on a terminal: made harmless, measured, cut and padded.
 */
#include <err.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "master/ctl/ctl.h"

/*
 * Bytes of the character at s.  *columns is what it takes on the terminal; what is no character, or
 * not to be printed, is shown as a question mark.
 */
static size_t
next_char(const char *s, size_t *columns, bool *printable)
{
	mbstate_t state = {0};
	wchar_t wc = 0;
	size_t len = mbrtowc(&wc, s, MB_LEN_MAX, &state);
	int width = len > 0 && len <= MB_LEN_MAX ? wcwidth(wc) : -1;

	*printable = width >= 0;
	*columns = width >= 0 ? (size_t)width : 1;
	return len > 0 && len <= MB_LEN_MAX ? len : 1;
}

size_t
ctl_width(const char *s)
{
	size_t width = 0, columns;
	bool printable;

	while (*s != '\0') {
		s += next_char(s, &columns, &printable);
		width += columns;
	}
	return width;
}

char *
ctl_clean(char *buf, size_t size, const char *s, size_t columns)
{
	size_t width = ctl_width(s), used = 0, len, cols;
	bool printable;

	if (columns != CTL_WHOLE && width > columns) {
		for (; *s != '\0' && width > columns - 1; s += len) {
			len = next_char(s, &cols, &printable);
			width -= cols;
		}
		used = strlcpy(buf, "…", size);
	}
	for (; *s != '\0'; s += len) {
		len = next_char(s, &cols, &printable);
		if (used + len >= size)
			break;
		if (printable) {
			memcpy(buf + used, s, len);
			used += len;
		} else {
			buf[used++] = '?';
		}
	}
	buf[used] = '\0';
	return buf;
}

void
ctl_pad(const char *s, size_t columns)
{
	size_t width = ctl_width(s);

	fputs(s, stdout);
	for (; width < columns; width++)
		putchar(' ');
}

int
ctl_check_id(const char *s)
{
	const char *errstr;

	strtonum(s, 1, INT64_MAX, &errstr);
	if (errstr == NULL)
		return 0;
	warnx("\"%s\" is not the id of a task, which is a number from 1", s);
	return -1;
}
