/*
 * Requests as libcurl sends them.
 */
#ifndef WORKER_STORE_REQUEST_H
#define WORKER_STORE_REQUEST_H

#include <curl/curl.h>
#include <stddef.h>

#include "common/config/config.h"
#include "worker/store/store.h"

struct store_request {
	const char *method;
	char *url; /* heap */
	struct curl_slist *headers; /* complete, with Authorization and the suppressed Expect */
};

/*
 * Builds and signs a request; the caller releases it.  Returns 0, or -1 with a sentence in why: a
 * name too long, a control character in a header, more metadata than the store takes.  COS keeps no
 * '_' and '.' in names of metadata, so they become '-'.  A redirect or a retry needs a new request:
 * signatures carry the time.
 */
int store_build(const struct config_store *store, const struct store_call *call,
    struct store_request *req, char *why, size_t why_size);
void store_request_release(struct store_request *req);

#endif
