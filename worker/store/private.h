/*
 * What the files of worker/store share: the draft of a request, and the table of dialects.
 *
 * A draft keeps the texts of its headers and parameters in one arena, so that nothing is freed one
 * by one.  A request that does not fit into the arena is refused: neither a source nor a row can
 * make it larger.
 */
#ifndef WORKER_STORE_PRIVATE_H
#define WORKER_STORE_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>

#include "worker/sign/sign.h"
#include "worker/store/store.h"

#define DRAFT_ARENA 98304 /* name, key and headers, some of them twice */
#define HEADER_MAX (SIGN_AUTHORIZATION_MAX + 64) /* a header line; Authorization is the longest */

struct store_draft {
	/* the operation */
	const struct config_store *store;
	const struct store_dialect *dialect;
	const struct store_call *call;

	/* the request */
	struct sign_request sign; /* method, decoded path, query, and headers but Host */
	const char *origin; /* scheme://authority */
	const char *host; /* the Host header that libcurl makes of origin */

	/* the caller's buffer for a complaint */
	char *why;
	size_t why_size;

	size_t used; /* bytes of arena */
	char arena[DRAFT_ARENA]; /* last */
};

struct store_dialect {
	const char *name;
	bool writable;
	struct store_limits limits;

	/* metadata: fit.c has the limits */
	const char *meta_prefix;
	bool meta_dashes_only; /* names consist of letters, digits and '-' */
	bool meta_words; /* values that are not ASCII go as RFC 2047 says; else in UTF-8 */

	/* names of headers */
	const char *token_header; /* session token */
	const char *storage_header; /* storage class */
	const char *encryption; /* kind of server-side encryption, and its key */
	const char *encryption_key;
	const char *copy_source;
	const char *copy_range;
	const char *copy_if_match;
	struct sign_pair absent_only; /* forbids to overwrite */
	struct sign_pair copy_replaced; /* a copy gets new headers and metadata */

	/* Returns NULL if bucket is a good name, else a complaint. */
	const char *(*check_bucket)(const struct config_store *store, const char *bucket);

	/*
	 * Signs d->sign and adds the headers that this takes, Authorization last.  Returns 0, or -1
	 * with d->why.
	 */
	int (*sign)(struct store_draft *d);
};

extern const struct store_dialect store_dialect_s3;
extern const struct store_dialect store_dialect_cos;
extern const struct store_dialect store_dialect_http;
extern const struct store_dialect store_dialect_file;

/* dialect.c: the dialect of a kind. */
const struct store_dialect *store_dialect(enum store_kind kind);

/* draft.c: formats into the arena.  Returns NULL, with d->why, if the arena is full. */
char *draft_text(struct store_draft *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * Adds a header, its value trimmed.  name must be a constant or from the arena.  Returns 0, or -1
 * with d->why: control characters, too many headers, too long.
 */
int draft_header(struct store_draft *d, const char *name, const char *value);

/* Adds a parameter of the query; both strings must outlive the draft. */
int draft_query(struct store_draft *d, const char *name, const char *value);

/* True if HTTP allows the name and every store keeps it: letters, digits, '-', '_', '.'. */
bool store_is_header_name(const char *name);

/* True if s contains no control character. */
bool store_is_header_value(const char *s);

/* object.c: the headers that name a copy's source, and the condition on it.  Returns 0 or -1. */
int draft_copy_headers(struct store_draft *d);

/* The headers and metadata of a new object: call->info, call->storage_class.  Returns 0 or -1. */
int draft_object_headers(struct store_draft *d);

/* checksum.c: the headers that call->crc32c asks for.  Returns 0 or -1. */
int draft_checksum(struct store_draft *d);

#endif
