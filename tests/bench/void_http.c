/*
 * Reads requests and their bodies, and sends answers.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/void.h"
#include "worker/base/crc64.h"

int64_t
now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

void
pace(int64_t begin, int64_t count)
{
	int64_t due, past;

	if (options.rate <= 0)
		return;
	past = (now_ns() - begin) / 1000;
	due = (int64_t)((double)count / (double)options.rate * 1e6);
	if (due > past + 1000)
		usleep((useconds_t)(due - past));
}

void
hex(char *out, const unsigned char *md5)
{
	for (int i = 0; i < 16; i++)
		snprintf(out + 2 * i, 3, "%02x", md5[i]);
}

int
send_all(int fd, const void *buf, size_t len)
{
	const char *p = buf;

	while (len > 0) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/*
 * Sends the head, and a body that fits behind it, in one write.  Six parameters: the body may be
 * shorter than the length that the head states.
 */
static int
answer_whole(struct request *r, int status, const char *headers, const char *body, size_t body_len,
    int64_t length)
{
	char out[8192];
	int n;

	if (options.delay_ms > 0)
		usleep((useconds_t)options.delay_ms * 1000);
	n = snprintf(out, sizeof out - 2048,
	    "HTTP/1.1 %d OK\r\nContent-Length: %" PRId64 "\r\n%s\r\n", status, length, headers);
	if (body_len <= 2048) {
		memcpy(out + n, body, body_len);
		return send_all(r->fd, out, (size_t)n + body_len);
	}
	return send_all(r->fd, out, (size_t)n) == -1 ? -1 : send_all(r->fd, body, body_len);
}

int
answer(struct request *r, int status, const char *headers, const char *fmt, ...)
{
	char body[2048];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(body, sizeof body, fmt, ap);
	va_end(ap);
	return answer_whole(r, status, headers, body, r->method[0] == 'H' ? 0 : (size_t)n, n);
}

int
answer_long(struct request *r, const char *text, size_t len)
{
	return answer_whole(r, 200, "Content-Type: application/xml\r\n", text, len, (int64_t)len);
}

void
sums_headers(const struct request *r, const char *etag, uint64_t crc, char *buf, size_t size)
{
	int n = snprintf(buf, size, "ETag: \"%s\"\r\n", etag);

	if (r->cos || !options.md5)
		snprintf(buf + n, size - (size_t)n, "x-cos-hash-crc64ecma: %" PRIu64 "\r\n", crc);
}

int
answer_head(struct request *r, int status, int64_t length, const char *headers)
{
	return answer_whole(r, status, headers, "", 0, length);
}

void
body_etag(struct body *body)
{
	for (int i = 0; i < 8 && !options.md5; i++) {
		body->md5[i] = (unsigned char)(body->crc >> (56 - 8 * i));
		body->md5[8 + i] = (unsigned char)((uint64_t)body->size >> (56 - 8 * i));
	}
	hex(body->etag, body->md5);
}

/* The next bytes of a body: first those that came with the head.  -1 if it broke off. */
static ssize_t
body_bytes(struct request *r, int64_t done, unsigned char *buf, size_t size, unsigned char **p)
{
	size_t early = r->have - r->head_len;
	int64_t left = r->length - done;
	ssize_t n;

	if (done == 0 && early > 0) {
		*p = (unsigned char *)r->head + r->head_len;
		return (ssize_t)early;
	}
	*p = buf;
	n = recv(r->fd, buf, left < (int64_t)size ? (size_t)left : size, 0);
	return n > 0 ? n : -1;
}

int
request_body(struct request *r, struct body *body)
{
	static __thread unsigned char buf[512 << 10];
	EVP_MD_CTX *md = body != NULL && options.md5 ? EVP_MD_CTX_new() : NULL;
	int64_t done = 0, begin = now_ns();
	uint64_t crc = 0;

	if (md != NULL)
		EVP_DigestInit_ex(md, EVP_md5(), NULL);
	while (done < r->length) {
		unsigned char *p;
		ssize_t n = body_bytes(r, done, buf, sizeof buf, &p);

		if (n == -1) {
			EVP_MD_CTX_free(md);
			stats.broken += body != NULL;
			return -1;
		}
		if (body != NULL) {
			crc = crc64_update(crc, p, (size_t)n);
			stats.received += n;
		}
		if (md != NULL)
			EVP_DigestUpdate(md, p, (size_t)n);
		done += n;
		pace(begin, done);
	}
	if (body != NULL) {
		memset(body, 0, sizeof *body);
		body->size = r->length;
		body->crc = crc;
		if (md != NULL)
			EVP_DigestFinal_ex(md, body->md5, NULL);
		body_etag(body);
	}
	EVP_MD_CTX_free(md);
	return 0;
}

const char *
request_query(const struct request *r, const char *key, char *buf, size_t size)
{
	size_t len = strlen(key);

	for (const char *p = r->query; *p != '\0'; p += strcspn(p, "&"), p += *p == '&') {
		if (strncmp(p, key, len) == 0 && p[len] == '=') {
			snprintf(buf, size, "%.*s", (int)strcspn(p + len + 1, "&"), p + len + 1);
			return buf;
		}
		if (strncmp(p, key, len) == 0 && (p[len] == '&' || p[len] == '\0')) {
			*buf = '\0';
			return buf;
		}
	}
	return NULL;
}

int64_t
request_number(const struct request *r, const char *key, int64_t otherwise)
{
	char number[32];

	return request_query(r, key, number, sizeof number) != NULL && *number != '\0'
		   ? strtoll(number, NULL, 10)
		   : otherwise;
}

/* Takes one header line.  Returns 0 or -1. */
static int
request_header(struct request *r, const char *line, char *host)
{
	if (strncasecmp(line, "Content-Length:", 15) == 0)
		r->length = strtoll(line + 15, NULL, 10);
	else if (strncasecmp(line, "Transfer-Encoding: chunked", 26) == 0)
		r->chunked = true;
	else if (strncasecmp(line, "Authorization: q-sign-algorithm", 31) == 0)
		r->cos = true;
	else if (strncasecmp(line + 2, "amz-copy-source:", 16) == 0 ||
		 strncasecmp(line + 2, "cos-copy-source:", 16) == 0)
		sscanf(line + 18, " %4095[^\r]", r->copy);
	else if (strncasecmp(line + 2, "amz-copy-source-range:", 22) == 0 ||
		 strncasecmp(line + 2, "cos-copy-source-range:", 22) == 0)
		sscanf(line + 24, " bytes=%" SCNd64 "-%" SCNd64, &r->copy_first, &r->copy_last);
	else if (strncasecmp(line, "Range: bytes=", 13) == 0)
		sscanf(line + 13, "%" SCNd64 "-%" SCNd64, &r->first, &r->last);
	else if (strncasecmp(line, "Host:", 5) == 0)
		sscanf(line + 5, " %255[^:\r]", host);
	else if (strncasecmp(line, "Expect:", 7) == 0)
		return send_all(r->fd, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	return 0;
}

static int
request_parse(struct request *r)
{
	char target[NAME_MAX_LEN], host[256] = "", *p;
	struct in_addr unused;

	r->length = 0;
	r->chunked = r->cos = false;
	r->first = r->last = r->copy_first = r->copy_last = -1;
	r->copy[0] = '\0';
	if (sscanf(r->head, "%7s %4095s", r->method, target) != 2)
		return -1;
	for (p = strstr(r->head, "\r\n"); p != NULL && p[2] != '\r'; p = strstr(p + 2, "\r\n"))
		if (request_header(r, p + 2, host) == -1)
			return -1;
	p = strchr(target, '?');
	snprintf(r->query, sizeof r->query, "%s", p != NULL ? p + 1 : "");
	if (p != NULL)
		*p = '\0';
	if (inet_aton(host, &unused) == 0 && (p = strchr(host, '.')) != NULL) {
		*p = '\0';
		snprintf(r->name, sizeof r->name, "%s%.3800s", host, target);
	} else {
		snprintf(r->name, sizeof r->name, "%s", target + 1);
	}
	return 0;
}

int
request_read(struct request *r)
{
	char *end = NULL;

	r->have = 0;
	while (end == NULL && r->have < HEAD_MAX) {
		ssize_t n = recv(r->fd, r->head + r->have, HEAD_MAX - r->have, 0);

		if (n <= 0)
			return -1;
		r->have += (size_t)n;
		r->head[r->have] = '\0';
		end = strstr(r->head, "\r\n\r\n");
	}
	if (end == NULL)
		return -1;
	r->head_len = (size_t)(end + 4 - r->head);
	return request_parse(r);
}
