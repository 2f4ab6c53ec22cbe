/*
 * The URIs of tasks.  Two forms:
 *
 *   STORE://BUCKET/KEY   STORE names a store of the configuration ([a-z][a-z0-9+.-]*).  KEY is literal to the
 *                        end of the string: no percent-decoding, '?' and '#' are part of it.  For a store of
 *                        kind file, what follows :// is one path below its root.
 *   http://… https://…   a URL, percent-encoded as URLs are, query included; a source only.
 */
#ifndef COMMON_URI_H
#define COMMON_URI_H

#include <stdbool.h>
#include <stddef.h>

#define URI_MAX 8192	/* bytes with the NUL: longest URI that a row may hold */
#define URI_STORE_MAX 64
#define URI_BUCKET_MAX 256
#define URI_KEY_MAX 1025 /* S3 allows 1,024 bytes of key, COS 850; each store checks its own limit */

struct uri {
	char store[URI_STORE_MAX]; /* lower case; "http" or "https" for a URL */
	bool is_url;
	const char *path; /* what follows "://", into the string that was parsed */
};

/*
 * Splits s, which must outlive *uri.  Returns 0, or -1 with a sentence in why (what is wrong and what a right
 * one looks like): no scheme, a bad store name, an empty path, control characters, too long.
 */
int uri_parse(struct uri *uri, const char *s, char *why, size_t why_size);

/*
 * Splits the path of a store URI into bucket (buf of URI_BUCKET_MAX) and key (a pointer into path, any length).
 * Returns 0, or -1 with a sentence in why: no bucket, no key.
 */
int uri_split_bucket(const struct uri *uri, char *bucket, size_t bucket_size, const char **key, char *why,
    size_t why_size);

/*
 * A copy fit for logs, titles and error columns: of a URL the query string, the fragment and any user:password@
 * are left out ("?…" shows that there was one); a store URI is copied whole.  Cut to size.  Returns buf.
 */
char *uri_redact(char *buf, size_t size, const char *s);

#endif
