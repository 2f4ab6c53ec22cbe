/*
 * Where the bytes come from: an object of a store, a URL, or a file.  Opening it pins it: its size and ETag hold for the
 * whole transfer, and everything that is read later is compared with them.
 */
#ifndef WORKER_SOURCE_H
#define WORKER_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "worker/failure.h"
#include "worker/http.h"
#include "worker/store.h"
#include "worker/worker.h"

#define SOURCE_REDIRECTS_MAX 5

struct source {
	struct store *store; /* for a URL, of the source's own */
	struct store url_store;
	bool is_url;
	bool is_file;
	bool guarded; /* private addresses are refused */
	char bucket[URI_BUCKET_MAX];
	char *key; /* heap: the key, the path, or the URL where all redirects end */
	int fd;	   /* file; -1 otherwise */
	int64_t size; /* -1: the server did not say */
	bool ranges;
	char etag[S3XML_ETAG_MAX]; /* the pin; "" if there is none */
	struct object_info info;   /* type and metadata, for the new object */
};

/* Takes apart the task's source, into one that is all zeros.  Returns 0 or -1. */
int source_init(struct worker *w, struct source *source, const char *uri, struct failure *f);

/* Asks it what it is.  Returns 0, or -1 with a failure or interrupted. */
int source_open(struct worker *w, struct source *source, struct failure *f);

/* Takes the pin from the answer to the first GET of a source's beginning.  Returns 0 or -1; size is -1 where it was not said. */
int source_pin_answer(struct source *source, const struct http_request *r, struct failure *f);

/* Goes where a redirect leads.  Returns 0, or -1: it leads where it may not. */
int source_follow(struct worker *w, struct source *source, const char *url, struct failure *f);

/* Prepares a GET from first to last (of the whole, if the source has no ranges), with the pin. */
void source_prepare_get(struct source *source, struct http_request *r, int64_t first, int64_t last);

/* Compares an answer to such a GET with the pin.  Returns 0, or -1 with CLASS_SOURCE_CHANGED or another failure. */
int source_check_answer(const struct source *source, const struct http_request *r, int64_t first, struct failure *f);

/* A file: the same question asked of the open descriptor. */
int source_check_file(const struct source *source, struct failure *f);

/* True if the pin is known to hold for the object that a checkpoint names. */
bool source_is_same(const struct source *source, int64_t size, const char *etag);

void source_release(struct source *source);

#endif
