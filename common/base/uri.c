#include "common/base/uri.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "common/base/text.h"

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
		if (text_is_control(*s))
			return s;
	return NULL;
}

/* Checks what only a URL must have.  why does not repeat the URL, which can be signed. */
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
		uri->store[i] = text_lower(s[i]);
	uri->is_url = strcmp(uri->store, "http") == 0 || strcmp(uri->store, "https") == 0;
	uri->path = s + len + 3;
	if (*uri->path == '\0') {
		snprintf(why, why_size, "nothing after \"%s://\"; " LOOKS_LIKE, uri->store);
		return -1;
	}
	return uri->is_url ? check_url(uri->path, why, why_size) : 0;
}

int
uri_split_bucket(const struct uri *uri, char bucket[URI_BUCKET_MAX], const char **key, char *why,
    size_t why_size)
{
	size_t len = strcspn(uri->path, "/");

	if (len == 0) {
		snprintf(why, why_size, "no bucket after \"%s://\"; it looks like %s://bucket/key",
		    uri->store, uri->store);
		return -1;
	}
	if (len >= URI_BUCKET_MAX) {
		snprintf(why, why_size, "a bucket name of %zu bytes; at most %d are allowed", len,
		    URI_BUCKET_MAX - 1);
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

/* A text under way to a buffer. */
struct copy {
	char *buf;
	size_t room; /* bytes left, without the NUL; 0 once something did not fit */
};

/* Appends len bytes of s, or as many whole UTF-8 characters as fit. */
static void
append(struct copy *copy, const char *s, size_t len)
{
	bool fits = len <= copy->room;

	if (!fits)
		for (len = copy->room; len > 0 && ((unsigned char)s[len] & 0xc0) == 0x80; len--)
			continue;
	memcpy(copy->buf, s, len);
	copy->buf += len;
	*copy->buf = '\0';
	copy->room = fits ? copy->room - len : 0;
}

/* Whether the text in front of the path is HOST or HOST:PORT, not part of a password that holds '/'
 * or '?'. */
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

/* The length of user:password@ at the start of s, in front of a host or a bucket, or 0. */
static size_t
password_length(const char *s, size_t len)
{
	const char *at = memrchr(s, '@', len);

	return at != NULL && memchr(s, ':', (size_t)(at - s)) != NULL ? (size_t)(at + 1 - s) : 0;
}

/* A store's URI has no password, but the URL of another protocol that was taken for one does. */
static void
copy_store_uri(struct copy *copy, const char *s, size_t scheme)
{
	size_t path = scheme + 1 + strspn(s + scheme + 1, "/");

	append(copy, s, path);
	s += path;
	s += password_length(s, strcspn(s, "/"));
	append(copy, s, strlen(s));
}

/*
 * Copies a URL behind its "//": host, port and path.  A '\\' ends the host for some parsers, and
 * belongs to the user for libcurl.
 */
static void
copy_url(struct copy *copy, const char *s)
{
	const char *at = memrchr(s, '@', strcspn(s, "/?#"));

	if (at != NULL)
		s = at + 1;
	if (is_host_port(s, strcspn(s, "/\\?#")))
		append(copy, s, strcspn(s, "?#"));
	else
		append(copy, "…", strlen("…"));
	if (s[strcspn(s, "?#")] != '\0')
		append(copy, "?…", strlen("?…"));
}

/*
 * True for "http", "https", "ftp", "ftps", "sftp", and for a word of the letters h, t, p and s
 * only: "htps" and "hhtp" are typing errors of URLs that may hold a password.
 */
static bool
is_url_scheme(const char *s, size_t len)
{
	static const char *const others[] = { "ftp", "ftps", "sftp" };
	size_t i;

	if (strncasecmp(s, "http", 4) == 0 || (len > 2 && strspn(s, "htpsHTPS") >= len))
		return true;
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (strlen(others[i]) == len && strncasecmp(s, others[i], len) == 0)
			return true;
	return false;
}

/*
 * Everything but a store's URI counts as a URL: malformed text must not show a signature or a
 * password either.
 */
char *
uri_redact(char *buf, size_t size, const char *s)
{
	struct copy copy = { .buf = buf, .room = size > 0 ? size - 1 : 0 };
	size_t scheme = scheme_length(s), len, slashes;

	if (size == 0)
		return buf;
	buf[0] = '\0';
	if (scheme > 0 && !is_url_scheme(s, scheme)) {
		copy_store_uri(&copy, s, scheme);
		return buf;
	}
	len = scheme > 0 ? scheme : strcspn(s, ":/\\?#@");
	len += (s[len] == ':');
	slashes = strspn(s + len, "/\\");
	/* what stands in front of a ':' without '/' may be a user, as in user:password@host */
	if ((s[len] == '/' && (len == 0 || s[len - 1] == ':')) ||
	    memchr(s, '@', strcspn(s, "/?#")) == NULL) {
		append(&copy, s, len + slashes);
		s += len + slashes;
	}
	copy_url(&copy, s);
	return buf;
}
