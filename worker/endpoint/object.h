/*
 * An object of a store, by name.
 */
#ifndef WORKER_ENDPOINT_OBJECT_H
#define WORKER_ENDPOINT_OBJECT_H

#include "worker/store/store.h"
#include "worker/http/http.h"

struct object_name {
	struct store *store;
	const char *bucket; /* NULL for a URL */
	const char *key; /* the URL itself, for a URL */
};

/* Prepares a request about the object. */
static inline void
object_prepare(const struct object_name *name, struct http_request *r, enum store_op op)
{
	http_prepare(r, name->store, op);
	r->call.bucket = name->bucket;
	r->call.key = name->key;
}

#endif
