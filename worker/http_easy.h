/*
 * http.c's other half: the pool of libcurl's easy handles, how one is set up, and what its outcome means.
 */
#ifndef WORKER_HTTP_EASY_H
#define WORKER_HTTP_EASY_H

#include "worker/http.h"

#define HTTP_IDLE_MAX CONFIG_STREAMS_MAX
#define HTTP_CONNECTIONS_KEPT (2 * CONFIG_STREAMS_MAX + 4) /* those in use count too: fewer would close one after each part */
#define HTTP_LINE_MAX 12288 /* a header with a Location or all metadata in it */

struct http {
	struct worker *worker;
	CURLM *multi;
	CURL *idle[HTTP_ROLES][HTTP_IDLE_MAX];
	int nidle[HTTP_ROLES];
	int *sockets; /* all that are open */
	int nsockets, sockets_room;
	struct http_request *direct[HTTP_WAIT_MAX]; /* those whose bodies are being sent by http_send() */
	int ndirect;
	LIST_HEAD(, http_request) writing; /* active, and of those that change a store */
	bool fresh; /* started, and not yet performed */
};

/* http_socket.c: options of r->easy; the socket of a request whose head is leaving or has left, -1 if it cannot be told. */
void http_socket_set(struct http_request *r);
int http_socket(const struct http_request *r);

/*
 * http_direct.c: false where it cannot be, else the size is put into the head; in place of on_read; out of the list; what the
 * loop has to wait for, into fds.
 */
bool http_direct_promise(struct http_request *r);
ssize_t http_direct_read(struct http_request *r);
void http_direct_forget(struct http_request *r);
unsigned http_direct_wait(const struct http *http, struct curl_waitfd *fds);

CURL *http_easy_take(struct http *http, enum http_role role);
void http_easy_give(struct http *http, enum http_role role, CURL *easy);

/* http_fence.c: what is answered by a list; what changes a store; its connection is to be reset, not closed. */
bool http_lists(const struct http_request *r);
bool http_writes(const struct http_request *r);
void http_reset(struct http_request *r);

/* Sets up r->easy for r->wire. */
void http_easy_set(struct http_request *r, const struct config_worker *conf);

/* Sets f to the class of what came of r, CLASS_NONE for a success. */
void http_classify_result(struct http_request *r, struct failure *f);

/* libcurl's callbacks */
size_t http_on_header(char *buf, size_t size, size_t n, void *arg);
size_t http_on_write(char *buf, size_t size, size_t n, void *arg);
size_t http_on_send(char *buf, size_t size, size_t n, void *arg);

#endif
