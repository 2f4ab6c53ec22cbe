/*
 * The course of a request: start, result, release; and the loop's part in it.
 */
#ifndef WORKER_HTTP_REQUEST_H
#define WORKER_HTTP_REQUEST_H

#include "worker/http/http.h"

/*
 * Returns 0, or -1 with a failure: a bucket or key that the store cannot have, or a lapsed lease.
 * r must stay at its address until it is done or aborted.
 */
int http_start(struct http *http, struct http_request *r, struct failure *f);

/*
 * For a request that is done.  Returns 0 for a success: the store's own answer of status 2xx
 * (store/judge.h) and, if the operation answers with a document, a complete one; else -1 with a
 * failure.  Gives the handle back; info, status and
 * xml stay until http_release().
 */
int http_result(struct http_request *r, struct failure *f);

/*
 * Takes the request out of libcurl's hands.  One that is still active loses its connection; sent
 * says then whether anything of it had left.  Harmless on a request that is not under way.
 */
void http_abort(struct http_request *r);

/* Aborts r, and frees what it holds.  Harmless on a prepared or released one. */
void http_release(struct http_request *r);

/*
 * For a request that is over: true if it was never sent, or if the answer says that the store did
 * nothing.  A lost answer says nothing, nor does a proxy's word that the store is late.
 */
bool http_did_nothing(const struct http_request *r);

/* For the loop: true if a request was started since the last http_perform(). */
bool http_is_fresh(const struct http *http);

/*
 * For the loop: waits for libcurl's sockets, for room in the sockets that http_send() uses, and for
 * fds[0 .. n - 1].  fds must have room for HTTP_WAIT_MAX more.
 */
#define HTTP_WAIT_MAX CONFIG_STREAMS_MAX
void http_poll(struct http *http, struct curl_waitfd *fds, unsigned n, int timeout_ms);

/* For the loop: moves all requests along. */
void http_perform(struct http *http);

#endif
