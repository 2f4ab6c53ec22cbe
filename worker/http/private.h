/*
 * What the files of worker/http share.  They call one another in this order, each only those
 * before it: http, socket, send, explain, body, answer, easy, fence, count, request.
 */
#ifndef WORKER_HTTP_PRIVATE_H
#define WORKER_HTTP_PRIVATE_H

#include "worker/http/request.h"

#define HTTP_IDLE_MAX CONFIG_STREAMS_MAX

struct http {
	struct worker *worker;
	CURLM *multi;
	bool fresh; /* a request was started and libcurl has not seen to it yet */

	/* handles that no request uses */
	CURL *idle[HTTP_ROLES][HTTP_IDLE_MAX];
	int nidle[HTTP_ROLES];

	/* libcurl's open sockets: socket.c */
	int *sockets;
	int nsockets, sockets_room;

	/* requests whose bodies are sent by http_send() */
	struct http_request *direct[HTTP_WAIT_MAX];
	int ndirect;

	/* active requests that change a store */
	LIST_HEAD(, http_request) writing;
};

/* http.c: true if a list answers the request. */
bool http_lists(const struct http_request *r);

/* socket.c: sets the options of r->easy that concern its socket. */
void http_socket_set(struct http_request *r);

/* The socket of a request whose head is leaving or has left, or -1 if it cannot be told. */
int http_socket(const struct http_request *r);

/*
 * send.c: adds the body's length to the head of a request with direct set.  Returns false if the
 * body cannot be sent past libcurl.
 */
bool http_direct_promise(struct http_request *r);

/* Ends the sending past libcurl, if there is any. */
void http_direct_forget(struct http_request *r);

/* Adds to fds the sockets whose room the loop waits for.  Returns their number. */
unsigned http_direct_wait(const struct http *http, struct curl_waitfd *fds);

/* How far the body of a GET or PUT had come when its connection ended; "" for other requests. */
#define HTTP_MOVED_MAX 96
const char *http_describe_moved(const struct http_request *r, char text[HTTP_MOVED_MAX]);

/* libcurl's callback for the body of a PUT. */
size_t http_on_send(char *buf, size_t size, size_t n, void *arg);

static inline bool
http_is_success(const struct http_request *r)
{
	return r->status >= 200 && r->status < 300;
}

/* explain.c: adds to the text of a refusal what it does not say of its own. */
void http_explain(const struct http_request *r, struct failure *f);

/* body.c: libcurl's callback for an answer's body. */
size_t http_on_write(char *buf, size_t size, size_t n, void *arg);

/* True if the answer's body is a document to be read, judged by its status. */
bool http_wants_xml(const struct http_request *r);

/* answer.c: libcurl's callback for an answer's head. */
size_t http_on_header(char *buf, size_t size, size_t n, void *arg);

/* Fills in f with the class of a request that failed, CLASS_NONE for a success. */
void http_classify_result(struct http_request *r, struct failure *f);

/* Whose trouble it is that libcurl has given the request up. */
void http_blame_curl(const struct http_request *r, struct failure *f);

/* easy.c: a handle for a request, and its return after a success. */
CURL *http_easy_take(struct http *http, enum http_role role);
void http_easy_give(struct http *http, enum http_role role, CURL *easy);

/* Sets up r->easy for r->wire. */
void http_easy_set(struct http_request *r, const struct config_worker *conf);

/* fence.c: makes the end of r's connection a reset, so that unsent bytes do not arrive. */
void http_reset(struct http_request *r);

/* count.c: for the metrics: a request is over, or is given up after some of it has left. */
void http_count(struct http_request *r);

#endif
