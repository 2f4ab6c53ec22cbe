/*
 * What differs between the dialects, as one table of data and a few functions; and the draft of a request while it is
 * put together.  Internal to store*.c.
 *
 * A draft keeps the text of its headers and parameters in one arena, so that nothing needs freeing one by one and
 * nothing that a source or a row says can make it larger: a request that does not fit is refused.
 */
#ifndef WORKER_STORE_DIALECT_H
#define WORKER_STORE_DIALECT_H

#include <stdbool.h>
#include <stddef.h>

#include "worker/sign.h"
#include "worker/store.h"

#define DRAFT_ARENA 32768
#define HEADER_MAX (SIGN_AUTHORIZATION_MAX + 64) /* a header line; Authorization is the longest */

struct store_draft {
	const struct config_store *store;
	const struct store_dialect *dialect;
	const struct store_call *call;
	struct sign_request sign; /* method, decoded path, query and headers as they are sent; host is apart */
	const char *origin;	  /* scheme://authority */
	const char *host;	  /* the Host header that curl makes of origin */
	char *why;
	size_t why_size;
	size_t used;
	char arena[DRAFT_ARENA]; /* last */
};

struct store_dialect {
	const char *name;
	bool writable;
	struct store_limits limits;
	const char *meta_prefix;
	int meta_max;		    /* bytes of names (with their prefix) and values together; 0: the store's business */
	bool meta_dashes_only;	    /* names may hold letters, digits and '-' alone */
	const char *token_header;   /* session token */
	const char *storage_header; /* storage class */
	struct sign_pair absent_only; /* the header that asks for no overwriting */
	const char *copy_source; /* headers of a copy inside the store */
	const char *copy_range;
	const char *copy_if_match;
	struct sign_pair copy_replaced; /* its headers and metadata are not the source's */

	/* NULL if bucket is a good name, else what is wrong with it. */
	const char *(*check_bucket)(const struct config_store *store, const char *bucket);

	/* Signs d->sign and adds what that takes, Authorization last.  Returns 0 or -1 with d->why. */
	int (*sign)(struct store_draft *d);
};

const struct store_dialect *store_dialect(enum store_kind kind);

extern const struct store_dialect store_dialect_s3;
extern const struct store_dialect store_dialect_cos;
extern const struct store_dialect store_dialect_http;
extern const struct store_dialect store_dialect_file;

/* Formats into the arena.  Returns NULL, with d->why, if it is full. */
char *draft_text(struct store_draft *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * Adds a header, its value trimmed.  Returns 0, or -1 with d->why: control characters, too many, too long.  The name must
 * be a constant or from the arena.
 */
int draft_header(struct store_draft *d, const char *name, const char *value);

/* Adds a parameter of the query; both strings must outlive the draft. */
int draft_query(struct store_draft *d, const char *name, const char *value);

/* Where a copy comes from, and on which condition.  Returns 0 or -1. */
int draft_copy_headers(struct store_draft *d);

/* The headers and the metadata of a new object (call->info, call->storage_class). */
int draft_object_headers(struct store_draft *d);

/* What call->crc32c asks for. */
int draft_checksum(struct store_draft *d);

/* True if the name is one that HTTP allows and every store keeps: letters, digits, '-', '_', '.'. */
bool store_is_header_name(const char *name);

/* True if s holds no control character: fit for a header's value. */
bool store_is_header_value(const char *s);

#endif
