#include "master/keys/document.h"

#include <jansson.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/text.h"

struct document {
	json_t *root;
	char *why;
	size_t why_size;
};

static int fail(struct document *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int
fail(struct document *d, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(d->why, d->why_size, fmt, ap);
	va_end(ap);
	return -1;
}

/* The library frees copies of secrets. */
static void
wipe_and_free(void *p)
{
	if (p != NULL)
		explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

/* Returns a member that is a string, or NULL after fail(); optional: "" if it is absent or null. */
static const char *
find_string(struct document *d, const char *name, bool optional)
{
	json_t *value = json_object_get(d->root, name);

	if (optional && (value == NULL || json_is_null(value)))
		return "";
	if (!json_is_string(value)) {
		fail(d, "printed JSON %s %s; that is a string",
		    value == NULL ? "without" : "with a wrong", name);
		return NULL;
	}
	return json_string_value(value);
}

static int
take_string(struct document *d, const char *name, bool optional, char *place, size_t size)
{
	const char *text = find_string(d, name, optional);
	size_t len, i;

	if (text == NULL)
		return -1;
	len = strlen(text);
	if (len == 0 && !optional)
		return fail(d, "printed an empty %s", name);
	if (len >= size)
		return fail(d, "printed %s of %zu characters; at most %zu are allowed", name, len,
		    size - 1);
	for (i = 0; i < len; i++)
		if (!text_is_printable(text[i]) || text[i] == ' ')
			return fail(d, "printed %s with blanks or control characters", name);
	memcpy(place, text, len);
	return 0;
}

static int
take_members(struct document *d, struct store_keys *keys)
{
	json_t *version = json_object_get(d->root, "Version");
	const char *expires;

	if (!json_is_object(d->root))
		return fail(d, "printed JSON that is no object");
	if (!json_is_integer(version) || json_integer_value(version) != 1)
		return fail(d, "printed JSON whose Version is not 1");
	if (take_string(d, "AccessKeyId", false, keys->access_key, sizeof(keys->access_key)) ==
		-1 ||
	    take_string(d, "SecretAccessKey", false, keys->secret_key, sizeof(keys->secret_key)) ==
		-1 ||
	    take_string(
		d, "SessionToken", true, keys->session_token, sizeof(keys->session_token)) == -1 ||
	    (expires = find_string(d, "Expiration", true)) == NULL)
		return -1;
	if (*expires != '\0' && clock_parse_time(expires, &keys->expires) == -1)
		return fail(d, "printed an Expiration that is no time like 2026-11-23T22:30:05Z");
	return 0;
}

int
document_read(const char *text, size_t len, struct store_keys *keys, char *why, size_t why_size)
{
	struct document d = { .why = why, .why_size = why_size };
	json_error_t error;
	int rc;

	json_set_alloc_funcs(malloc, wipe_and_free);
	memset(keys, 0, sizeof(*keys));
	d.root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
	/* the library's own words may hold a part of the text */
	if (d.root == NULL)
		rc = fail(&d, "printed no JSON (line %d, column %d)", error.line, error.column);
	else
		rc = take_members(&d, keys);
	json_decref(d.root);
	explicit_bzero(&error, sizeof(error));
	if (rc == -1)
		explicit_bzero(keys, sizeof(*keys));
	return rc;
}
