#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/text.h"
#include "worker/store/private.h"

char *
draft_text(struct store_draft *d, const char *fmt, ...)
{
	char *start = d->arena + d->used;
	size_t room = sizeof(d->arena) - d->used;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(start, room, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= room) {
		snprintf(d->why, d->why_size,
		    "headers and names are longer than the %d bytes that a request may have",
		    DRAFT_ARENA);
		return NULL;
	}
	d->used += (size_t)n + 1;
	return start;
}

int
draft_query(struct store_draft *d, const char *name, const char *value)
{
	if (d->sign.nquery == SIGN_QUERY_MAX) {
		snprintf(d->why, d->why_size, "more than %d parameters", SIGN_QUERY_MAX);
		return -1;
	}
	d->sign.query[d->sign.nquery++] = (struct sign_pair){ name, value };
	return 0;
}

bool
store_is_header_name(const char *name)
{
	const char *p;

	for (p = name; *p != '\0'; p++)
		if (!((text_lower(*p) >= 'a' && text_lower(*p) <= 'z') ||
			(*p >= '0' && *p <= '9') || *p == '-' || *p == '_' || *p == '.'))
			return false;
	return p != name;
}

bool
store_is_header_value(const char *s)
{
	for (; *s != '\0'; s++)
		if (text_is_control(*s))
			return false;
	return true;
}

/* Trims the value before it is signed, because the server trims headers, too. */
int
draft_header(struct store_draft *d, const char *name, const char *value)
{
	size_t len;

	if (!store_is_header_value(value)) {
		snprintf(
		    d->why, d->why_size, "the value for %s contains a control character", name);
		return -1;
	}
	if (strlen(name) + strlen(value) + 3 > HEADER_MAX) {
		snprintf(d->why, d->why_size, "the value for %.100s is longer than %d bytes", name,
		    HEADER_MAX);
		return -1;
	}
	/* the last place is for Host */
	if (d->sign.nheaders == SIGN_PAIRS_MAX - 1) {
		snprintf(
		    d->why, d->why_size, "more than %d headers and metadata", SIGN_PAIRS_MAX - 1);
		return -1;
	}
	value += strspn(value, " ");
	for (len = strlen(value); len > 0 && value[len - 1] == ' '; len--)
		;
	value = draft_text(d, "%.*s", (int)len, value);
	if (value == NULL)
		return -1;
	d->sign.headers[d->sign.nheaders++] = (struct sign_pair){ name, value };
	return 0;
}
