/*
 * Strings on a terminal: cleaned, measured, cut and padded.
 */
#include "master/ctl/ctl.h"

#include <err.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "common/base/uri.h"

/* The bytes of the character at s.  *columns are those that it takes on the terminal: one if it is
 * not printable, for the question mark in its place. */
static size_t
next_char(const char *s, size_t *columns, bool *printable)
{
	mbstate_t state = { 0 };
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

char *
ctl_clip(char *buf, size_t size, const char *s, size_t columns)
{
	size_t left = columns - 1, cols, len, used;
	bool printable;
	char *p;

	ctl_clean(buf, size, s, CTL_WHOLE);
	if (columns == 0 || ctl_width(buf) <= columns)
		return buf;
	for (p = buf; *p != '\0'; p += len) {
		len = next_char(p, &cols, &printable);
		if (cols > left)
			break;
		left -= cols;
	}
	used = (size_t)(p - buf);
	strlcpy(p, "…", size - used);
	return buf;
}

char *
ctl_clean_uri(char *buf, size_t size, const char *uri)
{
	char redacted[CTL_TEXT_MAX];

	return ctl_clean(buf, size, uri_redact(redacted, sizeof(redacted), uri), CTL_WHOLE);
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
	warnx("\"%s\" is not the id of a task; an id is a number from 1", s);
	return -1;
}
