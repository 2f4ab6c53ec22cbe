/*
 * HTTP requests on one libcurl multi handle.
 *
 * A caller empties a request with http_prepare(), fills in its first group of fields, and starts it
 * (request.h).  Bodies go through the caller's functions; the answer's head and document go into
 * the request.  Handles and connections are kept for the following parts and tasks.
 *
 * Nothing here waits.  Callbacks run inside http_perform() and inside http_unpause().
 */
#ifndef WORKER_HTTP_HTTP_H
#define WORKER_HTTP_HTTP_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "worker/base/failure.h"
#include "worker/store/request.h"
#include "worker/store/store.h"
#include "worker/store/xml.h"
#include "worker/worker.h"

struct http;
struct http_request;

/* What a body function makes of the bytes that it was given. */
enum http_verdict {
	HTTP_TAKEN,
	HTTP_PAUSE, /* took none; is asked again after http_unpause() */
	HTTP_ENOUGH, /* does not want the rest; the request ends well */
	HTTP_REFUSE, /* the request ends with request->refused */
};

/*
 * Takes a piece of the body of a successful answer; request->info and ->status are complete.  An
 * answer that is not the store's own (store/judge.h) never comes here: http_result() fails.
 */
typedef enum http_verdict http_on_body(struct http_request *r, const char *buf, size_t len);

/* Puts bytes to send into buf.  Returns their number, or HTTP_READ_*. */
#define HTTP_READ_PAUSE (-1)
#define HTTP_READ_REFUSE (-2) /* the request ends with request->refused */
typedef ssize_t http_on_read(struct http_request *r, char *buf, size_t max);

/* The kind of handle that a request needs, so that each keeps only the buffers that it uses. */
enum http_role { HTTP_CONTROL, HTTP_READER, HTTP_WRITER, HTTP_ROLES };

/* The size of libcurl's buffers for bodies: WORKER_RECV_BUFFER and WORKER_SEND_BUFFER, or less. */
enum http_buffers { BUFFERS_NORMAL, BUFFERS_LARGE, BUFFERS_SMALL };

enum http_state { HTTP_IDLE, HTTP_ACTIVE, HTTP_DONE };

#define HTTP_SAMPLE 60

/* Sending a body past libcurl: send.c. */
enum http_direct_state { DIRECT_SENDING, DIRECT_ENDED, DIRECT_OVER };

struct http_request {
	/* what to ask; set by the caller between http_prepare() and http_start() */
	struct store *store;
	struct store_call call; /* its pointers must stay valid until the end */
	enum http_role role;
	enum http_buffers buffers;
	bool public_only; /* refuse private addresses: reach.h */

	/* the bodies; set by the caller, too */
	http_on_body *on_body; /* NULL: an XML document is read, any other body is dropped */
	http_on_read *on_read; /* PUT, UPLOAD_PART */
	const char *body; /* COMPLETE, or instead of on_read: call.content_length bytes */
	bool direct; /* without TLS, the caller sends a large body by http_send() */
	void *arg; /* the caller's */

	/* the answer */
	enum http_state state;
	bool sent; /* some bytes of the request have left for the server */
	int status;

	/* under way; written by worker/http only */
	struct http *http;
	uint64_t keys_serial; /* of the keys that it is signed with */
	LIST_ENTRY(http_request) writing; /* if it changes the store */
	CURL *easy;
	CURLcode result;
	struct http_place {
		char address[64];
		int port;
	} here, peer; /* the two ends of the connection */

	/* the body sent past libcurl; written by send.c */
	int fd; /* the socket; -1: not taken yet, or given up */
	int direct_port; /* of here, when fd was taken */
	int64_t direct_sent; /* bytes */
	bool direct_blocked; /* the loop waits until the socket takes more */
	enum http_direct_state direct_state;

	/* the answer; written by answer.c */
	bool head_over; /* what looks like a header now is a trailer */
	const char *foreign; /* why the answer is not the store's: store/judge.h; NULL: it is */
	char sample[HTTP_SAMPLE + 1]; /* printable characters of the body, for a message */
	int nsample;
	bool xml_open;
	bool enough; /* on_body has said HTTP_ENOUGH */
	size_t header_bytes;
	size_t document_bytes;
	struct store_request wire;
	char error[CURL_ERROR_SIZE];

	/* mostly unused: http_prepare() empties each in its own way, not by memset() */
	struct failure refused; /* why a callback broke the request off */
	struct object_info info;
	struct s3xml xml;
};

struct http *http_new(struct worker *w);
void http_free(struct http *http);

/* Empties r. */
void http_prepare(struct http_request *r, struct store *store, enum store_op op);

/* True if the answer has come, or never will: http_result() is due. */
static inline bool
http_is_done(const struct http_request *r)
{
	return r->state == HTTP_DONE;
}

/* For a request that is over: true if the store itself says that there is no such thing. */
static inline bool
http_says_absent(const struct http_request *r)
{
	return r->status == 404 && r->foreign == NULL;
}

/* True if the request changes the store: all but GET, HEAD and the lists. */
bool http_writes(const struct http_request *r);

/* Continues a paused request.  Not to be called inside its callbacks. */
void http_unpause(struct http_request *r);

/*
 * Inside on_body, after the last byte that fits: reads no more from the server until
 * http_unpause(), so that libcurl has nothing to keep meanwhile.
 */
void http_hold(struct http_request *r);

/* The absolute URL that a redirect leads to, or NULL.  Valid before http_result(). */
const char *http_redirect(const struct http_request *r);

#endif
