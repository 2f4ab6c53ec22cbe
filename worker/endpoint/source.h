/*
 * Where the bytes come from: an object of a store, a URL, or a file.  Opening a source pins it
 * (pin.h): the pin holds for the whole transfer, and each later answer is compared with it.
 */
#ifndef WORKER_ENDPOINT_SOURCE_H
#define WORKER_ENDPOINT_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "worker/base/failure.h"
#include "worker/http/http.h"
#include "worker/endpoint/object.h"
#include "worker/endpoint/pin.h"
#include "worker/worker.h"

#define SOURCE_REDIRECTS_MAX 5

struct source {
	/* What the task names. */
	struct store *store; /* of a URL: url_store */
	struct store url_store;
	bool is_url;
	bool is_file;
	bool public_only; /* requests to private addresses are refused: http/reach.h */
	char bucket[URI_BUCKET_MAX];
	char *key; /* heap: the key, the path, or the URL after the redirects so far */
	char *url; /* heap: the URL that the task names; NULL: it is none */
	int redirects; /* followed while it was opened */
	int moves; /* how often key was changed: a GET knows by it where it asked */
	bool whole; /* it is opened by a GET without a range */
	bool end_expected; /* size or checksum of the row show whether the end is the end */

	/* What the first answer said. */
	int fd; /* of a file, else -1 */
	struct pin pin;
	bool ranges; /* it can be read by ranges */
	struct object_info info; /* type and metadata, for the new object */
};

/* Parses the task's source into *source, which must be all zeros.  Returns 0 or -1. */
int source_init(struct worker *w, struct source *source, const char *uri, struct failure *f);

/* Pins the source.  Returns 0, or -1 with a failure or interrupted. */
int source_open(struct worker *w, struct source *source, struct failure *f);

/* What the answer to a first GET came to. */
enum source_answer {
	SOURCE_FAILED = -1, /* with a failure */
	SOURCE_PINNED,
	SOURCE_MOVED, /* the source has another URL now: ask there */
	SOURCE_ASK_HEAD, /* only a HEAD, by source_open(), can tell what the object is */
	SOURCE_ASK_WHOLE, /* ask without a range */
};

/* Pins the source by the head of an answer to a GET of the beginning, or of the whole. */
enum source_answer source_pin_answer(
    struct source *source, const struct http_request *r, struct failure *f);

/* Likewise for an answer that is done, also one that is no success. */
enum source_answer source_take_answer(
    struct worker *w, struct source *source, struct http_request *r, struct failure *f);

/*
 * Asks by try until the source is pinned: where it has moved to, without a range, by HEAD, and
 * again after a failure that may pass.  Returns 0, or -1 with a failure or interrupted.
 */
typedef enum source_answer source_try(void *arg, struct failure *f);
int source_ask(
    struct worker *w, struct source *source, source_try *try, void *arg, struct failure *f);

/* Where a redirect leads to. */
struct source_hop {
	struct worker *w;
	struct source *source;
	int *redirects; /* followed one after the other */
};

/*
 * For the answer to a GET that is done and that http_redirect() has a URL of: the source has that
 * URL from now on.  Returns 0, or -1 with a failure: too many redirects, or to a URL that is not
 * allowed.
 */
int source_follow(const struct source_hop *hop, const struct http_request *r, struct failure *f);

/*
 * After a GET in vain, which was sent when source->moves was asked: the task's own URL is asked
 * next, since one that it has redirected to may be good for some minutes only.  Returns false if
 * that GET had asked there.
 */
bool source_turn_back(struct source *source, int asked);

/* The name of a source that is not a file. */
struct object_name source_name(const struct source *source);

/*
 * Prepares a GET of the bytes from first to last, on the condition of the pin.  If the source
 * cannot be read by ranges, the GET asks for all of it.
 */
void source_prepare_get(struct source *source, struct http_request *r, int64_t first, int64_t last);

/*
 * Compares the answer to such a GET with the pin.  If nothing pins, source->info becomes this
 * answer's: the bytes are.  Returns 0, or -1 with CLASS_SOURCE_CHANGED or another failure.
 */
int source_check_answer(struct source *source, const struct http_request *r, struct failure *f);

/* Sets the failure by errno of an operation on the open file, with store and path.  Returns -1. */
int source_fail_file(const struct source *source, struct failure *f);

/* Compares the open file with the pin.  Returns 0, or -1 with a failure. */
int source_check_file(const struct source *source, struct failure *f);

/* True if the source is known to be the object of that size and pin, as a checkpoint has them. */
bool source_is_same(const struct source *source, int64_t size, const char *pin);

/* Closes and frees what source holds. */
void source_release(struct source *source);

#endif
