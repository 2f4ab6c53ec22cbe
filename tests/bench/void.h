/*
 * void: the two ends of a benchmark in one small server.  As a source it makes up objects of any size; as a destination it
 * speaks just enough S3 and COS multipart to be uploaded to, reads every body to its end, counts it and throws it away.  No
 * signature is checked.  A thread a connection, so that the clock measures its client and not a queue here.
 *
 * void.c       options, connections, which request is whose
 * void_http.c  requests in, answers out, bodies into the void
 * void_source.c  what is made up: objects, and buckets that list them
 * void_sink.c  what is kept of an upload: names, sizes, checksums
 */
#ifndef BENCH_VOID_H
#define BENCH_VOID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEAD_MAX 65536
#define NAME_MAX_LEN 4096

struct request {
	int fd;
	char head[HEAD_MAX + 1];
	size_t head_len;     /* with the empty line */
	size_t have;	     /* bytes in head[], body bytes behind the head included */
	char method[8];
	char name[NAME_MAX_LEN]; /* BUCKET/KEY */
	char query[4096];
	int64_t length;	     /* Content-Length */
	bool chunked;
	bool cos; /* signed as COS has it */
	int64_t first, last; /* Range; first -1 if none */
	char copy[NAME_MAX_LEN]; /* x-*-copy-source, and its range; first -1 if none */
	int64_t copy_first, copy_last;
};

struct body {
	int64_t size;
	uint64_t crc;
	unsigned char md5[16]; /* without -m made of the CRC and the size */
	char etag[40];
};

/* From the command line; constant once there are connections. */
struct options {
	int delay_ms;
	int64_t rate;
	int puts; /* at once; 0: any number */
	bool md5;
};
extern struct options options;

/* bytes of PUT bodies that came whole or in part, PUT bodies that did not come to their end, objects and bytes in them,
 * most PUTs at once, PUTs told to slow down */
struct stats {
	_Atomic int64_t requests, received, broken, objects, stored, sent, uploads, puts_most, puts_refused;
};
extern struct stats stats;

/* void_http.c: everything here returns 0, or -1 if the connection is of no more use. */

/* Reads and splits the next head. */
int request_read(struct request *r);
/* The value of a query parameter in buf, "" if it has none; NULL if there is no such parameter. */
const char *request_query(const struct request *r, const char *key, char *buf, size_t size);
int64_t request_number(const struct request *r, const char *key, int64_t otherwise);
/* From md5 the ETag; without -m md5 first. */
void body_etag(struct body *body);
/* Reads the body to its end.  body may be NULL: then it is neither summed up nor counted. */
int request_body(struct request *r, struct body *body);
/* The lines that say what an object is: ETag and CRC64; with -m the CRC64 to COS clients only, since S3 knows none. */
void sums_headers(const struct request *r, const char *etag, uint64_t crc, char *buf, size_t size);
/* headers: whole lines, each with its CRLF. */
int answer(struct request *r, int status, const char *headers, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
int answer_long(struct request *r, const char *text, size_t len);
/* A head without a body behind it: for HEAD, or before send_all(). */
int answer_head(struct request *r, int status, int64_t length, const char *headers);
int send_all(int fd, const void *buf, size_t len);
/* Sleeps so that count bytes since begin (ns of CLOCK_MONOTONIC) keep to the rate. */
void pace(int64_t begin, int64_t count);
int64_t now_ns(void);
void hex(char *out, const unsigned char *md5);

/* void_source.c */

void source_init(void);
/* Whether the request is for something made up; then *rc is what answering it came to. */
bool source_get(struct request *r, int *rc);
/* What size bytes from offset on of anything made up sum up to, without making them up.  Of no use with -m. */
struct body source_body(int64_t offset, int64_t size);

/* void_sink.c: each answers one request. */

int sink_get(struct request *r); /* and HEAD */
int sink_put(struct request *r);
int sink_post(struct request *r);
int sink_delete(struct request *r);
int sink_invent(struct request *r);

#endif
