/*
 * The URIs of tasks.  There are two forms:
 *
 * STORE://BUCKET/KEY: STORE is a store of the configuration, [a-z][a-z0-9+.-]*.  KEY reaches to the
 * end of the string and is taken as it stands, without percent-decoding; '?' and '#' belong to it.
 * In a store of kind file, BUCKET/KEY is a path below the root.
 *
 * http://… or https://…: a URL, percent-encoded, with its query.  Only a source can be one.
 */
#ifndef COMMON_BASE_URI_H
#define COMMON_BASE_URI_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes, with the NUL. */
#define URI_MAX 8192 /* the longest URI that a row may hold */
#define URI_SHOWN 1200 /* of a URI in a line of the log */
#define URI_STORE_MAX 64
#define URI_BUCKET_MAX 256
#define URI_KEY_MAX 1025 /* of S3; each store checks its own limit */

struct uri {
	char store[URI_STORE_MAX]; /* lower case; "http" or "https" for a URL */
	bool is_url;
	const char *path; /* behind "://", in the string that was parsed */
};

/*
 * Splits s, which must outlive *uri.  Returns 0, or -1 with a sentence in why, which says what is
 * wrong and what is right: no scheme, a bad store name, an empty path, a control character, too
 * many bytes.
 */
int uri_parse(struct uri *uri, const char *s, char *why, size_t why_size);

/*
 * Splits the path of a store's URI into bucket and key.  *key points into the path and has any
 * length.  Returns 0, or -1 with a sentence in why: no bucket, or no key.
 */
int uri_split_bucket(const struct uri *uri, char bucket[URI_BUCKET_MAX], const char **key,
    char *why, size_t why_size);

/*
 * Copies s for logs, titles and error columns, cut to size.  A URL loses its query and fragment,
 * which "?…" stands for, and user:password@.  A store's URI loses what looks like user:password@ in
 * front of the bucket, as in ldap://user:password@host/, and nothing else.  Returns buf.
 */
char *uri_redact(char *buf, size_t size, const char *s);

#endif
