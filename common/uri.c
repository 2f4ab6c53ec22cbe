/*
 * The URIs of tasks: taken apart, and made fit for people to see.
 */
#include "common/uri.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define LOOKS_LIKE "a task's URI looks like ceph://bucket/key or https://host/path"

static bool
is_store_char(unsigned char c, bool first)
{
	return isascii(c) &&
	       (isalpha(c) || (!first && (isdigit(c) || c == '+' || c == '.' || c == '-')));
}

/* Length of the store name in front of "://", or 0 if s does not begin with one. */
static size_t
scheme_length(const char *s)
{
	size_t len = 0;

	while (is_store_char((unsigned char)s[len], len == 0))
		len++;
	return strncmp(s + len, "://", 3) == 0 ? len : 0;
}

static const char *
find_control(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return s;
	return NULL;
}

/* What a URL must have beyond a store's URI.  The URL itself is not repeated in why: it can be
 * signed. */
static int
check_url(const char *path, char *why, size_t why_size)
{
	if (strchr("/?#", *path) != NULL) {
		snprintf(why, why_size, "a URL without a host; " LOOKS_LIKE);
		return -1;
	}
	if (strchr(path, ' ') != NULL) {
		snprintf(why, why_size, "a space in a URL; a space is written %%20 there");
		return -1;
	}
	return 0;
}

int
uri_parse(struct uri *uri, const char *s, char *why, size_t why_size)
{
	size_t i, len = strlen(s);
	const char *control;

	memset(uri, 0, sizeof(*uri));
	if (len >= URI_MAX) {
		snprintf(
		    why, why_size, "a URI of %zu bytes; at most %d are allowed", len, URI_MAX - 1);
		return -1;
	}
	if ((control = find_control(s)) != NULL) {
		snprintf(why, why_size,
		    "control character 0x%02x at byte %zu of the URI; none is allowed",
		    (unsigned)(unsigned char)*control, (size_t)(control - s) + 1);
		return -1;
	}
	if (strstr(s, "://") == NULL) {
		snprintf(why, why_size, "no \"://\" in the URI; " LOOKS_LIKE);
		return -1;
	}
	len = scheme_length(s);
	if (len == 0 || len >= sizeof(uri->store)) {
		snprintf(why, why_size,
		    "a bad store name in front of \"://\"; a letter, then letters, digits, '+', "
		    "'.' and '-', at "
		    "most %d in all",
		    URI_STORE_MAX - 1);
		return -1;
	}
	for (i = 0; i < len; i++)
		uri->store[i] = (char)tolower((unsigned char)s[i]);
	uri->is_url = strcmp(uri->store, "http") == 0 || strcmp(uri->store, "https") == 0;
	uri->path = s + len + 3;
	if (*uri->path == '\0') {
		snprintf(why, why_size, "nothing after \"%s://\"; " LOOKS_LIKE, uri->store);
		return -1;
	}
	return uri->is_url ? check_url(uri->path, why, why_size) : 0;
}

int
uri_split_bucket(const struct uri *uri, char *bucket, size_t bucket_size, const char **key,
    char *why, size_t why_size)
{
	size_t len = strcspn(uri->path, "/");

	if (len == 0) {
		snprintf(why, why_size, "no bucket after \"%s://\"; it looks like %s://bucket/key",
		    uri->store, uri->store);
		return -1;
	}
	if (len >= bucket_size) {
		snprintf(why, why_size, "a bucket name of %zu bytes; at most %zu are allowed", len,
		    bucket_size - 1);
		return -1;
	}
	if (uri->path[len] == '\0' || uri->path[len + 1] == '\0') {
		snprintf(why, why_size, "no key after the bucket; it looks like %s://bucket/key",
		    uri->store);
		return -1;
	}
	memcpy(bucket, uri->path, len);
	bucket[len] = '\0';
	*key = uri->path + len + 1;
	return 0;
}

/* Appends len bytes of s to the *used bytes in buf, whole UTF-8 characters only, as many as fit. */
static void
append(char *buf, size_t size, size_t *used, const char *s, size_t len)
{
	size_t room = size - *used - 1;

	if (len > room)
		for (len = room; len > 0 && ((unsigned char)s[len] & 0xc0) == 0x80; len--)
			continue;
	memcpy(buf + *used, s, len);
	*used += len;
	buf[*used] = '\0';
}

/* Whether what stands between '@' (or "//") and the path is HOST or HOST:PORT, not a password that
 * holds '/' or '?'. */
static bool
is_host_port(const char *s, size_t len)
{
	const char *colon = len > 0 && *s == '[' ? memchr(s, ']', len) : s;

	if (colon == NULL)
		return false;
	colon = memchr(colon, ':', len - (size_t)(colon - s));
	if (colon == NULL)
		return true;
	return strspn(colon + 1, "0123456789") >= len - (size_t)(colon + 1 - s);
}

/*
 * Everything but a store's URI counts as a URL, well-formed or not: what nobody can parse must not
 * show a signature either.  So does what only begins like http, a slip of the pen that comes with
 * the same query.
 */
char *
uri_redact(char *buf, size_t size, const char *s)
{
	size_t used = 0, scheme = scheme_length(s), len;
	const char *at;

	if (size == 0)
		return buf;
	buf[0] = '\0';
	if (scheme > 0 && strncasecmp(s, "http", 4) != 0) {
		append(buf, size, &used, s, strlen(s));
		return buf;
	}
	len = scheme > 0 ? scheme : strcspn(s, ":/\\?#@");
	if (s[len] == ':' || strspn(s + len, "/\\") > 0) {
		len += (s[len] == ':');
		len += strspn(s + len, "/\\");
		append(buf, size, &used, s, len);
		s += len;
	}
	len = strcspn(s, "/\\?#");
	if ((at = memrchr(s, '@', len)) != NULL) {
		len -= (size_t)(at + 1 - s);
		s = at + 1;
	}
	if (is_host_port(s, len))
		append(buf, size, &used, s, strcspn(s, "?#"));
	else
		append(buf, size, &used, "…", strlen("…"));
	if (s[strcspn(s, "?#")] != '\0')
		append(buf, size, &used, "?…", strlen("?…"));
	return buf;
}
