/*
 * void: both ends of a benchmark in one small server.  As a source it makes up objects of any size.
 * As a destination it speaks just enough S3 and COS for uploads, reads every body to its end,
 * counts it and discards it.  It checks no signatures.  Each connection has a thread, so that
 * clients never wait for each other here.
 *
 * void.c         options, connections, dispatch of requests
 * void_http.c    requests, their bodies, answers
 * void_source.c  made-up objects, and buckets that list them
 * void_sink.c    names, sizes and checksums of uploads and objects
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
	size_t head_len; /* the empty line included */
	size_t have; /* bytes in head[], with bytes of the body after the head */
	char method[8];
	char name[NAME_MAX_LEN]; /* BUCKET/KEY */
	char query[4096];
	int64_t length; /* Content-Length */
	bool chunked;
	bool cos; /* has a signature of COS */
	int64_t first, last; /* Range; first is -1 if there is none */
	char copy[NAME_MAX_LEN]; /* x-*-copy-source and its range; copy_first is -1 if there is none
				  */
	int64_t copy_first, copy_last;
};

struct body {
	int64_t size;
	uint64_t crc;
	unsigned char md5[16]; /* without -m, made from the CRC and the size */
	char etag[40];
};

/* Set from the command line; constant while there are connections. */
struct options {
	int delay_ms;
	int64_t rate;
	int puts; /* the most PUTs at once; 0 is no limit */
	bool md5;
};
extern struct options options;

/*
 * received: bytes of PUT bodies, of broken ones too.  broken: PUT bodies that did not reach their
 * end.  objects, stored: objects and the bytes in them.  puts_most: the most PUTs at once.
 * puts_refused: PUTs that were told to slow down.
 */
struct stats {
	_Atomic int64_t requests, received, broken, objects, stored, sent, uploads, puts_most,
	    puts_refused;
};
extern struct stats stats;

/* void_http.c: functions return 0, or -1 if the connection must be closed. */

/* Reads the head of the next request. */
int request_read(struct request *r);
/* Puts a query parameter's value into buf and returns it; NULL if there is no such parameter. */
const char *request_query(const struct request *r, const char *key, char *buf, size_t size);
int64_t request_number(const struct request *r, const char *key, int64_t otherwise);
/* Makes the ETag from md5; without -m, makes md5 first. */
void body_etag(struct body *body);
/* Reads the body to its end.  With a NULL body, there is no checksum and no counting. */
int request_body(struct request *r, struct body *body);
/*
 * Writes the header lines with an object's ETag and CRC64; with -m, the CRC64 only for COS clients,
 * because S3 has none.
 */
void sums_headers(const struct request *r, const char *etag, uint64_t crc, char *buf, size_t size);
/* headers: complete lines, each with its CRLF. */
int answer(struct request *r, int status, const char *headers, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
int answer_long(struct request *r, const char *text, size_t len);
/* Sends a head without a body: for HEAD, or before send_all(). */
int answer_head(struct request *r, int status, int64_t length, const char *headers);
int send_all(int fd, const void *buf, size_t len);
/* Sleeps until count bytes since begin (ns of CLOCK_MONOTONIC) are within the rate. */
void pace(int64_t begin, int64_t count);
int64_t now_ns(void);
void hex(char *out, const unsigned char *md5);

/* void_source.c */

void source_init(void);
/* Answers a request for a made-up object and sets *rc; returns false for any other request. */
bool source_get(struct request *r, int *rc);
/*
 * Returns the checksum of size bytes from offset on of a made-up object, without making the bytes.
 * Does not work with -m.
 */
struct body source_body(int64_t offset, int64_t size);

/* void_sink.c: each answers one request. */

int sink_get(struct request *r); /* and HEAD */
int sink_put(struct request *r);
int sink_post(struct request *r);
int sink_delete(struct request *r);
int sink_invent(struct request *r);

#endif
