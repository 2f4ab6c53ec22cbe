/*
 * The HTTP side: http.c has the server, route.c the answers.
 */
#ifndef MASTER_EXPORTER_HTTP_H
#define MASTER_EXPORTER_HTTP_H

#include <microhttpd.h>
#include <stddef.h>
#include <stdint.h>

struct exporter;

/* Opens the server at the address of the setup.  Returns NULL with why. */
struct MHD_Daemon *http_open(struct exporter *e, char *why, size_t why_size);

/* For poll(): a descriptor to read from, and the milliseconds that http_run() can wait; -1: any. */
int http_fd(struct MHD_Daemon *http);
int64_t http_timeout(struct MHD_Daemon *http);
void http_run(struct MHD_Daemon *http);

struct answer {
	unsigned status;
	const char *type;
	char *text; /* on the heap */
	size_t len;
	char policy[512]; /* of the page, for the header Content-Security-Policy; empty: none */
};

/* Answers a GET of a path. */
void route_answer(
    struct exporter *e, struct MHD_Connection *conn, const char *url, struct answer *a);

/* One line of text. */
void answer_line(struct answer *a, unsigned status, const char *line);

#endif
