/*
 * Large bodies past libcurl's buffer: libcurl connects, sends the head and reads the answer; the
 * caller sends the body from its own memory into the socket.  This saves a copy of each byte and a
 * buffer for each stream.  It needs a connection without TLS.
 */
#ifndef WORKER_HTTP_SEND_H
#define WORKER_HTTP_SEND_H

#include "worker/http/http.h"

/*
 * For a request with direct set: true once its head has left and the caller must send the body with
 * http_send().  It stays false where the body cannot be sent so; then on_read is asked for it.
 */
bool http_is_direct(const struct http_request *r);

/* Returns how many bytes the socket took; after 0 the loop wakes up when it takes more. */
size_t http_send(struct http_request *r, const char *buf, size_t len);

/* Ends the body: all is sent, or the connection is broken.  Now libcurl waits for the answer. */
void http_send_end(struct http_request *r);

/* Bytes of the body that were given to the kernel. */
int64_t http_sent(const struct http_request *r);

/* Bytes of the body that the server's kernel has acknowledged. */
int64_t http_arrived(const struct http_request *r);

#endif
