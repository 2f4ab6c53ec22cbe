/*
 * void: the two ends of a benchmark in one small server.  As a source it makes up objects of any size; as a destination it
 * speaks just enough S3 and COS multipart to be uploaded to, reads every body to its end, counts it and throws it away.  No
 * signature is checked.  A thread a connection, so that the clock measures its client and not a queue here.
 *
 *   void [-a ADDRESS] [-p PORT] [-d MS] [-r BYTES] [-m]
 *     -d  wait so long before each answer (a round trip of latency)
 *     -r  at most so many bytes a second on each connection (what a window allows over that latency)
 *     -m  ETags are MD5s, as S3's are (costs this server CPU, not its client)
 *
 * GET|HEAD /BUCKET/size-N…   an object of N bytes: byte i is pattern[i % PATTERN]
 * PUT, POST, DELETE, HEAD    of any other key: an upload; HEAD says size, ETag and x-cos-hash-crc64ecma of what was put there
 * PUT of x-*-copy-source     a copy of what is made up, or of a range of it
 * POST /-/invent/BUCKET/KEY?size=N&part=P&leave=A,B,…   an upload that has all parts, of P bytes, of an object of N bytes, but
 *                            those named; answers with its id and the CRC64 of a whole part and of the last as JSON
 * GET /-/stats               counters as JSON: requests, bytes received and sent, uploads open
 *
 * Virtual-host addressing works too: what precedes the first '.' of a Host that is no address is taken as the bucket.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <isa-l.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "worker/crc64.h"

#define PATTERN (1 << 20)
#define HEAD_MAX 65536
#define PARTS 10001

struct part {
	int64_t size;
	uint64_t crc;
	unsigned char md5[16];
	char etag[40];
};

struct object {
	LIST_ENTRY(object) entry;
	char *name; /* "BUCKET/KEY", or "BUCKET/KEY upload-N" of an upload that is open */
	int64_t size;
	uint64_t crc;
	char etag[64];
	struct part *parts; /* of an upload */
};

struct request {
	int fd;
	char head[HEAD_MAX + 1];
	size_t head_len;   /* with the empty line */
	size_t have;	   /* bytes in head[], body bytes behind the head included */
	char method[8];
	char name[4096];   /* BUCKET/KEY */
	char query[4096];
	int64_t length;	   /* Content-Length */
	int64_t first, last; /* Range; first -1 if none */
	char copy[4096];     /* x-*-copy-source */
	int64_t copy_first, copy_last;
};

static LIST_HEAD(, object) objects = LIST_HEAD_INITIALIZER(objects);
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned char pattern[PATTERN * 2];
static int delay_ms;
static int64_t rate;
static bool with_md5;
static _Atomic int64_t n_requests, n_received, n_sent, n_uploads;
static int64_t upload_serial;

static struct object *
object_find(const char *name)
{
	struct object *o;

	LIST_FOREACH(o, &objects, entry)
		if (strcmp(o->name, name) == 0)
			return o;
	return NULL;
}

static struct object *
object_make(const char *name)
{
	struct object *o = object_find(name);

	if (o == NULL) {
		if ((o = calloc(1, sizeof *o)) == NULL || (o->name = strdup(name)) == NULL)
			abort();
		LIST_INSERT_HEAD(&objects, o, entry);
	}
	return o;
}

static void
object_drop(struct object *o)
{
	LIST_REMOVE(o, entry);
	free(o->parts);
	free(o->name);
	free(o);
}

static void
hex(char *out, const unsigned char *md5)
{
	for (int i = 0; i < 16; i++)
		snprintf(out + 2 * i, 3, "%02x", md5[i]);
}

/* Without -m an ETag is 32 hexadecimal digits all the same, of what is known anyway. */
static void
part_etag(struct part *p)
{
	for (int i = 0; i < 8 && !with_md5; i++) {
		p->md5[i] = (unsigned char)(p->crc >> (56 - 8 * i));
		p->md5[8 + i] = (unsigned char)((uint64_t)p->size >> (56 - 8 * i));
	}
	hex(p->etag, p->md5);
}

/* What a range of made up bytes would sum up to, without making them up: whole patterns double. */
static struct part
part_made_up(int64_t offset, int64_t size)
{
	struct part p = { .size = size };
	int64_t head = (PATTERN - offset % PATTERN) % PATTERN, span = PATTERN, n;
	uint64_t crc;

	head = head < size ? head : size;
	p.crc = crc64_update(0, pattern + offset % PATTERN, (size_t)head);
	size -= head;
	crc = crc64_update(0, pattern, PATTERN);
	for (n = size / PATTERN; n > 0; n /= 2) {
		if (n % 2 == 1)
			p.crc = crc64_combine(p.crc, crc, (uint64_t)span);
		crc = crc64_combine(crc, crc, (uint64_t)span);
		span *= 2;
	}
	p.crc = crc64_combine(p.crc, crc64_update(0, pattern, (size_t)(size % PATTERN)), (uint64_t)(size % PATTERN));
	part_etag(&p);
	return p;
}

/* Sleeps so that count bytes since begin keep to the rate. */
static void
pace(const struct timespec *begin, int64_t count)
{
	struct timespec now;
	int64_t due, past;

	if (rate <= 0)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	past = (now.tv_sec - begin->tv_sec) * INT64_C(1000000) + (now.tv_nsec - begin->tv_nsec) / 1000;
	due = (int64_t)((double)count / (double)rate * 1e6);
	if (due > past + 1000)
		usleep((useconds_t)(due - past));
}

static int
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

static int __attribute__((format(printf, 4, 5)))
answer(struct request *r, int status, const char *headers, const char *fmt, ...)
{
	char body[2048], head[4096];
	va_list ap;
	int n, m;

	va_start(ap, fmt);
	n = vsnprintf(body, sizeof body, fmt, ap);
	va_end(ap);
	if (delay_ms > 0)
		usleep((useconds_t)delay_ms * 1000);
	m = snprintf(head, sizeof head, "HTTP/1.1 %d OK\r\nContent-Length: %d\r\n%s\r\n", status, n, headers);
	if (send_all(r->fd, head, (size_t)m) == -1)
		return -1;
	return send_all(r->fd, body, (size_t)n);
}

/* Reads the body to its end into the void; sums may be NULL. */
static int
read_body(struct request *r, struct part *sums)
{
	static __thread unsigned char buf[512 << 10];
	EVP_MD_CTX *md = sums != NULL && with_md5 ? EVP_MD_CTX_new() : NULL;
	size_t early = r->have - r->head_len;
	int64_t left = r->length, done = 0;
	uint64_t crc = 0;
	struct timespec begin;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	if (md != NULL)
		EVP_DigestInit_ex(md, EVP_md5(), NULL);
	while (left > 0) {
		const unsigned char *p = buf;
		ssize_t n;

		if (early > 0) {
			p = (unsigned char *)r->head + r->head_len;
			n = (ssize_t)early;
			early = 0;
		} else if ((n = recv(r->fd, buf, left < (int64_t)sizeof buf ? (size_t)left : sizeof buf, 0)) <= 0) {
			EVP_MD_CTX_free(md);
			return -1;
		}
		if (sums != NULL)
			crc = crc64_update(crc, p, (size_t)n);
		if (md != NULL)
			EVP_DigestUpdate(md, p, (size_t)n);
		left -= n;
		done += n;
		n_received += n;
		pace(&begin, done);
	}
	if (sums != NULL) {
		sums->size = r->length;
		sums->crc = crc;
		memset(sums->md5, 0, sizeof sums->md5);
	}
	if (md != NULL)
		EVP_DigestFinal_ex(md, sums->md5, NULL);
	EVP_MD_CTX_free(md);
	return 0;
}

static int
serve_made_up(struct request *r, int64_t size)
{
	int64_t first = r->first < 0 ? 0 : r->first;
	int64_t last = r->first < 0 || r->last < 0 || r->last >= size ? size - 1 : r->last;
	int64_t at, done = 0;
	struct timespec begin;
	char head[512];
	int n;

	if (first > last && size > 0)
		return answer(r, 416, "", "%s", "");
	n = snprintf(head, sizeof head,
	    "HTTP/1.1 %d OK\r\nContent-Length: %" PRId64 "\r\nETag: \"made-up-%" PRId64 "\"\r\nAccept-Ranges: bytes\r\n"
	    "Last-Modified: Mon, 23 Nov 2026 00:00:00 GMT\r\nContent-Type: application/octet-stream\r\n",
	    r->first < 0 ? 200 : 206, last - first + 1, size);
	if (r->first >= 0)
		n += snprintf(head + n, sizeof head - (size_t)n, "Content-Range: bytes %" PRId64 "-%" PRId64 "/%" PRId64 "\r\n",
		    first, last, size);
	if (r->method[0] == 'H')
		n += snprintf(head + n, sizeof head - (size_t)n, "x-cos-hash-crc64ecma: %" PRIu64 "\r\n",
		    part_made_up(0, size).crc);
	n += snprintf(head + n, sizeof head - (size_t)n, "\r\n");
	if (delay_ms > 0)
		usleep((useconds_t)delay_ms * 1000);
	if (send_all(r->fd, head, (size_t)n) == -1)
		return -1;
	if (r->method[0] == 'H')
		return 0;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (at = first; at <= last;) {
		int64_t chunk = last - at + 1 < PATTERN ? last - at + 1 : PATTERN;

		if (rate > 0 && chunk > 65536)
			chunk = 65536;
		if (send_all(r->fd, pattern + at % PATTERN, (size_t)chunk) == -1)
			return -1;
		at += chunk;
		done += chunk;
		n_sent += chunk;
		pace(&begin, done);
	}
	return 0;
}

static const char *
query_value(const struct request *r, const char *key, char *buf, size_t size)
{
	size_t len = strlen(key);

	for (const char *p = r->query; *p != '\0'; p += strcspn(p, "&"), p += *p == '&') {
		if (strncmp(p, key, len) == 0 && p[len] == '=') {
			snprintf(buf, size, "%.*s", (int)strcspn(p + len + 1, "&"), p + len + 1);
			return buf;
		}
		if (strncmp(p, key, len) == 0 && (p[len] == '&' || p[len] == '\0'))
			return "";
	}
	return NULL;
}

/* The body of an upload, or what is copied instead. */
static int
put_body(struct request *r, struct part *sums)
{
	const char *key = strstr(r->copy, "/size-");
	int64_t size;

	if (r->copy[0] == '\0') {
		if (read_body(r, sums) == -1)
			return -1;
		part_etag(sums);
		return 0;
	}
	size = key != NULL ? strtoll(key + 6, NULL, 10) : 0;
	if (r->copy_first < 0)
		*sums = part_made_up(0, size);
	else
		*sums = part_made_up(r->copy_first, r->copy_last - r->copy_first + 1);
	return 0;
}

static int
put(struct request *r)
{
	char id[128], number[16], name[4300], headers[256];
	struct object *o;
	struct part sums;

	if (put_body(r, &sums) == -1)
		return -1;
	pthread_mutex_lock(&lock);
	if (query_value(r, "uploadId", id, sizeof id) != NULL && query_value(r, "partNumber", number, sizeof number) != NULL) {
		int i = (int)strtol(number, NULL, 10);

		snprintf(name, sizeof name, "%s %s", r->name, id);
		if ((o = object_find(name)) == NULL || i < 1 || i >= PARTS) {
			pthread_mutex_unlock(&lock);
			return answer(r, 404, "", "<Error><Code>NoSuchUpload</Code></Error>");
		}
		o->parts[i] = sums;
	} else {
		o = object_make(r->name);
		o->size = sums.size;
		o->crc = sums.crc;
		snprintf(o->etag, sizeof o->etag, "%s", sums.etag);
	}
	pthread_mutex_unlock(&lock);
	snprintf(headers, sizeof headers, "ETag: \"%s\"\r\nx-cos-hash-crc64ecma: %" PRIu64 "\r\n", sums.etag, sums.crc);
	if (r->copy[0] != '\0')
		return answer(r, 200, headers, "<Copy%sResult><ETag>&quot;%s&quot;</ETag></Copy%sResult>",
		    r->copy_first < 0 ? "Object" : "Part", sums.etag, r->copy_first < 0 ? "Object" : "Part");
	return answer(r, 200, headers, "%s", "");
}

static void
complete(struct object *upload, struct object *o)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	unsigned char sum[16];
	int n = 0;

	EVP_DigestInit_ex(md, EVP_md5(), NULL);
	o->size = 0;
	o->crc = 0;
	for (int i = 1; i < PARTS; i++) {
		struct part *p = &upload->parts[i];

		if (p->size == 0)
			continue;
		o->crc = crc64_combine(o->crc, p->crc, (uint64_t)p->size);
		o->size += p->size;
		EVP_DigestUpdate(md, p->md5, sizeof p->md5);
		n++;
	}
	EVP_DigestFinal_ex(md, sum, NULL);
	EVP_MD_CTX_free(md);
	hex(o->etag, sum);
	snprintf(o->etag + 32, sizeof o->etag - 32, "-%d", n);
}

static bool
is_left(const char *list, int number)
{
	for (const char *p = list; *p != '\0'; p += strcspn(p, ","), p += *p == ',')
		if (strtol(p, NULL, 10) == number)
			return true;
	return false;
}

/* The lock is held. */
static int
invent(struct request *r)
{
	char id[128], name[4300], text[64], leave[512];
	int64_t size = strtoll(query_value(r, "size", text, sizeof text) != NULL ? text : "0", NULL, 10);
	int64_t step = strtoll(query_value(r, "part", text, sizeof text) != NULL ? text : "0", NULL, 10);
	int last = step > 0 ? (int)((size + step - 1) / step) : 0;
	struct part whole, rest;
	struct object *o;

	if (last < 1 || last >= PARTS || query_value(r, "leave", leave, sizeof leave) == NULL)
		return answer(r, 400, "", "%s", "");
	snprintf(id, sizeof id, "upload-%" PRId64, ++upload_serial);
	snprintf(name, sizeof name, "%s %s", r->name + strlen("-/invent/"), id);
	o = object_make(name);
	if ((o->parts = calloc(PARTS, sizeof *o->parts)) == NULL)
		abort();
	n_uploads++;
	whole = part_made_up(0, step);
	rest = part_made_up((int64_t)(last - 1) * step, size - (int64_t)(last - 1) * step);
	for (int i = 1; i <= last; i++)
		if (!is_left(leave, i))
			o->parts[i] = i < last && step % PATTERN == 0 ? whole : part_made_up((int64_t)(i - 1) * step,
			    i < last ? step : rest.size);
	return answer(r, 200, "Content-Type: application/json\r\n",
	    "{\"id\": \"%s\", \"crc\": \"%" PRIu64 "\", \"etag\": \"%s\", \"last_crc\": \"%" PRIu64 "\", \"last_etag\": \"%s\"}\n",
	    id, whole.crc, whole.etag, rest.crc, rest.etag);
}

static int
post(struct request *r)
{
	char id[128], name[4300], etag[64];
	struct object *o, *upload;
	int rc;

	if (read_body(r, NULL) == -1)
		return -1;
	pthread_mutex_lock(&lock);
	if (strncmp(r->name, "-/invent/", 9) == 0) {
		rc = invent(r);
		pthread_mutex_unlock(&lock);
		return rc;
	}
	if (query_value(r, "uploads", id, sizeof id) != NULL) {
		snprintf(id, sizeof id, "upload-%" PRId64, ++upload_serial);
		snprintf(name, sizeof name, "%s %s", r->name, id);
		o = object_make(name);
		if ((o->parts = calloc(PARTS, sizeof *o->parts)) == NULL)
			abort();
		n_uploads++;
		pthread_mutex_unlock(&lock);
		return answer(r, 200, "",
		    "<InitiateMultipartUploadResult><UploadId>%s</UploadId></InitiateMultipartUploadResult>", id);
	}
	snprintf(name, sizeof name, "%s %s", r->name, query_value(r, "uploadId", id, sizeof id) != NULL ? id : "");
	if ((upload = object_find(name)) == NULL) {
		pthread_mutex_unlock(&lock);
		return answer(r, 404, "", "<Error><Code>NoSuchUpload</Code></Error>");
	}
	o = object_make(r->name);
	complete(upload, o);
	snprintf(etag, sizeof etag, "%s", o->etag);
	object_drop(upload);
	n_uploads--;
	pthread_mutex_unlock(&lock);
	return answer(r, 200, "", "<CompleteMultipartUploadResult><ETag>&quot;%s&quot;</ETag></CompleteMultipartUploadResult>",
	    etag);
}

#define PAGE 1000

static int
list_parts(struct request *r, const char *id)
{
	char name[4300], head[128], marker[16], *text = NULL;
	struct object *o;
	FILE *out;
	size_t len;
	int n, i, listed = 0, last = 0;

	snprintf(name, sizeof name, "%s %s", r->name, id);
	pthread_mutex_lock(&lock);
	if ((o = object_find(name)) == NULL) {
		pthread_mutex_unlock(&lock);
		return answer(r, 404, "", "<Error><Code>NoSuchUpload</Code></Error>");
	}
	if ((out = open_memstream(&text, &len)) == NULL)
		abort();
	fprintf(out, "<ListPartsResult>");
	i = query_value(r, "part-number-marker", marker, sizeof marker) != NULL ? (int)strtol(marker, NULL, 10) + 1 : 1;
	for (; i > 0 && i < PARTS && listed < PAGE; i++) {
		if (o->parts[i].size == 0)
			continue;
		fprintf(out, "<Part><PartNumber>%d</PartNumber><Size>%" PRId64 "</Size><ETag>\"%s\"</ETag></Part>", i,
		    o->parts[i].size, o->parts[i].etag);
		listed++;
		last = i;
	}
	fprintf(out, "<IsTruncated>%s</IsTruncated><NextPartNumberMarker>%d</NextPartNumberMarker></ListPartsResult>",
	    listed == PAGE ? "true" : "false", last);
	fclose(out);
	pthread_mutex_unlock(&lock);
	n = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", len);
	n = send_all(r->fd, head, (size_t)n) == -1 ? -1 : send_all(r->fd, text, len);
	free(text);
	return n;
}

static int
get(struct request *r)
{
	const char *key = strchr(r->name, '/');
	char headers[512], id[128];
	struct object *o;
	int64_t size = 0;
	bool found;

	if (strcmp(r->name, "-/stats") == 0)
		return answer(r, 200, "Content-Type: application/json\r\n",
		    "{\"requests\": %" PRId64 ", \"received\": %" PRId64 ", \"sent\": %" PRId64 ", \"uploads\": %" PRId64 "}\n",
		    n_requests, n_received, n_sent, n_uploads);
	if (query_value(r, "uploadId", id, sizeof id) != NULL)
		return list_parts(r, id);
	if (key != NULL && strncmp(key, "/size-", 6) == 0)
		return serve_made_up(r, strtoll(key + 6, NULL, 10));
	pthread_mutex_lock(&lock);
	if ((found = (o = object_find(r->name)) != NULL)) {
		size = o->size;
		snprintf(headers, sizeof headers, "ETag: \"%s\"\r\nx-cos-hash-crc64ecma: %" PRIu64 "\r\n", o->etag, o->crc);
	}
	pthread_mutex_unlock(&lock);
	if (!found)
		return answer(r, 404, "", "%s", "");
	if (delay_ms > 0)
		usleep((useconds_t)delay_ms * 1000);
	if (r->method[0] == 'H') {
		char head[1024];
		int n = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %" PRId64 "\r\n%s\r\n", size, headers);

		return send_all(r->fd, head, (size_t)n);
	}
	return answer(r, 501, "", "nothing is kept here");
}

static int
drop(struct request *r)
{
	char id[128], name[4300];
	struct object *o;

	snprintf(name, sizeof name, "%s", r->name);
	if (query_value(r, "uploadId", id, sizeof id) != NULL)
		snprintf(name, sizeof name, "%s %s", r->name, id);
	pthread_mutex_lock(&lock);
	if ((o = object_find(name)) != NULL) {
		n_uploads -= o->parts != NULL;
		object_drop(o);
	}
	pthread_mutex_unlock(&lock);
	return answer(r, 204, "", "%s", "");
}

/* Splits the head in r->head.  Returns 0 or -1. */
static int
parse(struct request *r)
{
	char target[4096], host[256] = "", *p;
	struct in_addr unused;

	r->length = 0;
	r->first = r->last = r->copy_first = r->copy_last = -1;
	r->copy[0] = '\0';
	if (sscanf(r->head, "%7s %4095s", r->method, target) != 2)
		return -1;
	for (p = strstr(r->head, "\r\n"); p != NULL && p[2] != '\r'; p = strstr(p + 2, "\r\n")) {
		if (strncasecmp(p + 2, "Content-Length:", 15) == 0)
			r->length = strtoll(p + 17, NULL, 10);
		else if (strncasecmp(p + 2, "Range: bytes=", 13) == 0)
			sscanf(p + 15, "%" SCNd64 "-%" SCNd64, &r->first, &r->last);
		else if (strncasecmp(p + 4, "amz-copy-source:", 16) == 0 || strncasecmp(p + 4, "cos-copy-source:", 16) == 0)
			sscanf(p + 20, " %4095[^\r]", r->copy);
		else if (strncasecmp(p + 4, "amz-copy-source-range:", 22) == 0 ||
		    strncasecmp(p + 4, "cos-copy-source-range:", 22) == 0)
			sscanf(p + 26, " bytes=%" SCNd64 "-%" SCNd64, &r->copy_first, &r->copy_last);
		else if (strncasecmp(p + 2, "Host:", 5) == 0)
			sscanf(p + 7, " %255[^:\r]", host);
		else if (strncasecmp(p + 2, "Expect:", 7) == 0 &&
		    send_all(r->fd, "HTTP/1.1 100 Continue\r\n\r\n", 25) == -1)
			return -1;
	}
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

static void *
connection(void *arg)
{
	struct request *r = calloc(1, sizeof *r);
	int failed = 0;

	if (r == NULL)
		abort();
	r->fd = (int)(intptr_t)arg;
	while (!failed) {
		char *end = NULL;

		r->have = 0;
		while (end == NULL && r->have < HEAD_MAX) {
			ssize_t n = recv(r->fd, r->head + r->have, HEAD_MAX - r->have, 0);

			if (n <= 0)
				goto out;
			r->have += (size_t)n;
			r->head[r->have] = '\0';
			end = strstr(r->head, "\r\n\r\n");
		}
		if (end == NULL)
			break;
		r->head_len = (size_t)(end + 4 - r->head);
		if (parse(r) == -1)
			break;
		n_requests++;
		switch (r->method[0]) {
		case 'G':
		case 'H':
			failed = get(r);
			break;
		case 'P':
			failed = r->method[1] == 'U' ? put(r) : post(r);
			break;
		case 'D':
			failed = drop(r);
			break;
		default:
			failed = answer(r, 405, "", "%s", "");
		}
	}
out:
	close(r->fd);
	free(r);
	return NULL;
}

int
main(int argc, char **argv)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(9000) };
	const char *address = "127.0.0.1";
	int fd, ch, on = 1;
	pthread_attr_t attr;

	while ((ch = getopt(argc, argv, "a:d:mp:r:")) != -1) {
		switch (ch) {
		case 'a':
			address = optarg;
			break;
		case 'd':
			delay_ms = (int)strtol(optarg, NULL, 10);
			break;
		case 'm':
			with_md5 = true;
			break;
		case 'p':
			sin.sin_port = htons((uint16_t)strtol(optarg, NULL, 10));
			break;
		case 'r':
			rate = strtoll(optarg, NULL, 10);
			break;
		default:
			fprintf(stderr, "usage: void [-m] [-a address] [-d ms] [-p port] [-r bytes/s]\n");
			return 64;
		}
	}
	for (size_t i = 0; i < sizeof pattern; i++)
		pattern[i] = (unsigned char)(((i % PATTERN) * UINT64_C(0x9e3779b97f4a7c15)) >> 56);
	inet_aton(address, &sin.sin_addr);
	if ((fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) == -1 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == -1 ||
	    bind(fd, (struct sockaddr *)&sin, sizeof sin) == -1 || listen(fd, 512) == -1) {
		perror("void");
		return 1;
	}
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 1 << 20);
	printf("ready on %s:%d\n", address, ntohs(sin.sin_port));
	fflush(stdout);
	for (;;) {
		pthread_t thread;
		int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

		if (peer == -1)
			continue;
		setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
		if (pthread_create(&thread, &attr, connection, (void *)(intptr_t)peer) != 0)
			close(peer);
	}
}
