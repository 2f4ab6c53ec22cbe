/*
 * HTTP requests on one libcurl multi handle.  A request is filled in, started, and is over when done is set; bodies go
 * through the caller's functions, answers into the request.  Handles and connections are reused over parts and tasks.
 *
 * Nothing here waits, except http_call().  Callbacks run inside http_perform() and inside http_unpause().
 */
#ifndef WORKER_HTTP_H
#define WORKER_HTTP_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "worker/failure.h"
#include "worker/s3xml.h"
#include "worker/store.h"
#include "worker/worker.h"

struct http;
struct http_request;

/* What a body function says of the bytes that it was given. */
enum http_verdict {
	HTTP_TAKEN,
	HTTP_PAUSE, /* none taken; asks again after http_unpause() */
	HTTP_ENOUGH, /* the rest is not wanted; the request ends well */
	HTTP_REFUSE, /* the request ends with request->refused */
};

/* A piece of the body of a successful answer; request->info and ->status are complete. */
typedef enum http_verdict http_on_body(struct http_request *r, const char *buf, size_t len);

/* Bytes to send, into buf: how many, or HTTP_READ_*. */
#define HTTP_READ_PAUSE (-1)
#define HTTP_READ_REFUSE (-2) /* breaks the request off; request->refused says why */
typedef ssize_t http_on_read(struct http_request *r, char *buf, size_t max);

/* Which handle a request wants, so that each keeps only the buffers that it uses. */
enum http_role { HTTP_CONTROL, HTTP_READER, HTTP_WRITER, HTTP_ROLES };

/* How large libcurl's buffers for bodies are, in config.h's measure. */
enum http_buffers { BUFFERS_NORMAL, BUFFERS_LARGE, BUFFERS_SMALL };

struct http_request {
	/* set by the caller between http_prepare() and http_start() */
	struct store *store;
	struct store_call call; /* what it points to must live until the end */
	enum http_role role;
	http_on_body *on_body; /* NULL: the body is read as XML if the operation has one, else it is left */
	http_on_read *on_read; /* PUT, UPLOAD_PART */
	const char *body;      /* COMPLETE; PUT, UPLOAD_PART instead of on_read: call.content_length bytes, sent with the head */
	void *arg;
	enum http_buffers buffers;
	bool direct;  /* a large body: on a connection without TLS the caller sends it with http_send(), past libcurl's buffer */
	bool guarded; /* private addresses are refused */

	/* the answer */
	bool active;
	bool done;
	bool sent; /* something of it has left for the server */
	int status;

	/* http.c's own */
	struct http *http;
	LIST_ENTRY(http_request) writing; /* where it changes the store */
	CURL *easy;
	CURLcode result;
	struct http_place {
		char address[64];
		int port;
	} here, peer; /* the two ends of its connection */
	int fd;		     /* the socket that http_send() uses; -1: none (yet) */
	int direct_port;     /* of here, when fd was taken */
	int64_t direct_sent; /* bytes */
	bool direct_blocked; /* the loop is to wake up when the socket takes more */
	enum { DIRECT_SENDING, DIRECT_ENDED, DIRECT_OVER } direct_state;
	bool xml_open;
	bool enough;
	size_t header_bytes;
	size_t document_bytes;
	struct store_request wire;
	char error[CURL_ERROR_SIZE];

	/* the answer's large pieces; emptied one by one, since they are 17 KiB and most stays unused */
	struct failure refused;
	struct object_info info;
	struct s3xml xml;
};

struct http *http_new(struct worker *w);
void http_free(struct http *http);

/* Empties r. */
void http_prepare(struct http_request *r, struct store *store, enum store_op op);

/* Returns 0, or -1 with a failure (a name that cannot be).  r must stay where it is until it is done or aborted. */
int http_start(struct http *http, struct http_request *r, struct failure *f);

/*
 * Once done: returns 0 for a success of the protocol (2xx, and a document read to its end where there should be one), else
 * -1 with the class.  Either way the handle is given back; info, status and xml stay until http_release().
 */
int http_result(struct http_request *r, struct failure *f);

/* Breaks off if still active, and frees what is left.  Harmless on a prepared or released one. */
void http_release(struct http_request *r);

/* Once over: it was never sent, or the answer, not its lack, says that nothing was done. */
bool http_did_nothing(const struct http_request *r);

/* Start, wait, result. Returns 0 or -1; the caller releases. */
int http_once(struct worker *w, struct http_request *r, struct failure *f);

/* The same, and tries a transient failure twice more.  Returns 0 or -1; the caller releases. */
int http_call(struct worker *w, struct http_request *r, struct failure *f);

/* The same where an interrupted worker cleans up: ends at deadline at the latest. */
int http_insist(struct worker *w, struct http_request *r, int64_t deadline, struct failure *f);

/* From outside of callbacks. */
void http_unpause(struct http_request *r);

/* Inside on_body, after the last byte that fits: the server is asked for nothing until http_unpause(), and libcurl need keep nothing. */
void http_hold(struct http_request *r);

/*
 * A request with direct set: true once its head has left and the body is to be sent by http_send().  False for good on a
 * connection with TLS, where on_read is asked.
 */
bool http_is_direct(const struct http_request *r);

/* Returns how many bytes the socket has taken; if 0, the loop wakes up when it takes more. */
size_t http_send(struct http_request *r, const char *buf, size_t len);

/* No more will come: all was sent, or the connection is no good.  The answer may come from now on. */
void http_send_end(struct http_request *r);

/* Bytes that have left for the server. */
int64_t http_sent(const struct http_request *r);

/* The same without what the kernel still holds, since the server has not said that it is there. */
int64_t http_arrived(const struct http_request *r);

/* Where a redirect leads, absolute; NULL if nowhere.  Valid before http_result(). */
const char *http_redirect(const struct http_request *r);

/* "STORE: OPERATION: …".  Returns -1. */
int http_failure(const struct http_request *r, struct failure *f, enum error_class class, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* The loop's.  fds has room for HTTP_WAIT_MAX more than the n that are filled in.  Fresh: one was started since http_perform(). */
#define HTTP_WAIT_MAX CONFIG_STREAMS_MAX
bool http_is_fresh(const struct http *http);
void http_poll(struct http *http, struct curl_waitfd *fds, unsigned n, int timeout_ms);
void http_perform(struct http *http);

/* Breaks off what changes a store if the lease does not hold (lease.h); what is started then fails at once. */
void http_fence(struct http *http);

#endif
