/*
 * Keeps names, sizes and checksums of uploads and objects, but not their bytes.
 */
#include <inttypes.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "tests/bench/void.h"
#include "worker/base/crc64.h"

#define PARTS 10001
#define PAGE 1000 /* parts in an answer of ListParts */
#define BUCKETS (1 << 16)
#define FULL_NAME (NAME_MAX_LEN + 128)

struct object {
	LIST_ENTRY(object) entry;
	char *name; /* "BUCKET/KEY", or "BUCKET/KEY upload-N" of an open upload */
	int64_t size;
	uint64_t crc;
	char etag[64];
	struct body *parts; /* of an upload */
};

static LIST_HEAD(objects, object) table[BUCKETS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int64_t upload_serial;
static int puts_now; /* under lock */

static struct objects *
object_bucket(const char *name)
{
	return &table[crc64_update(0, name, strlen(name)) % BUCKETS];
}

static struct object *
object_find(const char *name)
{
	struct object *o;

	LIST_FOREACH (o, object_bucket(name), entry)
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
		LIST_INSERT_HEAD(object_bucket(name), o, entry);
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

/* Returns the upload that the request names, with the lock held, or NULL. */
static struct object *
upload_find(const char *name, const char *id)
{
	char full[FULL_NAME];

	snprintf(full, sizeof full, "%s %s", name, id);
	return object_find(full);
}

static int
answer_no_upload(struct request *r)
{
	return answer(r, 404, "", "<Error><Code>NoSuchUpload</Code></Error>");
}

/* Keeps body as a part or as an object; returns false if there is no such upload. */
static bool
keep(struct request *r, const struct body *body)
{
	int64_t number = request_number(r, "partNumber", 0);
	char id[128];
	struct object *o;

	if (request_query(r, "uploadId", id, sizeof id) != NULL) {
		if ((o = upload_find(r->name, id)) == NULL || number < 1 || number >= PARTS)
			return false;
		o->parts[number] = *body;
		return true;
	}
	o = object_make(r->name);
	o->size = body->size;
	o->crc = body->crc;
	snprintf(o->etag, sizeof o->etag, "%s", body->etag);
	stats.objects++;
	stats.stored += body->size;
	return true;
}

/* Reads the body of an upload, or computes that of a copy. */
static int
put_body(struct request *r, struct body *body)
{
	const char *key = strstr(r->copy, "/size-");

	if (r->copy[0] == '\0')
		return request_body(r, body);
	if (r->copy_first >= 0)
		*body = source_body(r->copy_first, r->copy_last - r->copy_first + 1);
	else
		*body = source_body(0, key != NULL ? strtoll(key + 6, NULL, 10) : 0);
	return 0;
}

static int
put(struct request *r)
{
	struct body body;
	char headers[256];
	bool kept;

	if (r->chunked) {
		answer(r, 411, "Connection: close\r\n",
		    "<Error><Code>MissingContentLength</Code></Error>");
		return -1;
	}
	if (put_body(r, &body) == -1)
		return -1;
	pthread_mutex_lock(&lock);
	kept = keep(r, &body);
	pthread_mutex_unlock(&lock);
	if (!kept)
		return answer_no_upload(r);
	sums_headers(r, body.etag, body.crc, headers, sizeof headers);
	if (r->copy[0] != '\0')
		return answer(r, 200, headers,
		    "<Copy%sResult><ETag>&quot;%s&quot;</ETag></Copy%sResult>",
		    r->copy_first < 0 ? "Object" : "Part", body.etag,
		    r->copy_first < 0 ? "Object" : "Part");
	return answer(r, 200, headers, "%s", "");
}

/*
 * Refuses a PUT beyond the limit.  The rest of its body may be on its way and is read, so that the
 * client gets the answer.
 */
int
sink_put(struct request *r)
{
	bool refused;
	int rc;

	pthread_mutex_lock(&lock);
	refused = options.puts > 0 && puts_now >= options.puts;
	stats.puts_refused += refused;
	if (!refused && ++puts_now > stats.puts_most)
		stats.puts_most = puts_now;
	pthread_mutex_unlock(&lock);
	if (refused) {
		rc =
		    answer(r, 503, "Connection: close\r\n", "<Error><Code>SlowDown</Code></Error>");
		return request_body(r, NULL) == -1 ? -1 : rc;
	}
	rc = put(r);
	pthread_mutex_lock(&lock);
	puts_now--;
	pthread_mutex_unlock(&lock);
	return rc;
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
		struct body *p = &upload->parts[i];

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
	stats.objects++;
	stats.stored += o->size;
}

/* Begins an upload and puts its id into id. */
static void
initiate(struct request *r, char *id, size_t size)
{
	char name[FULL_NAME];
	struct object *o;

	pthread_mutex_lock(&lock);
	snprintf(id, size, "upload-%" PRId64, ++upload_serial);
	snprintf(name, sizeof name, "%s %s", r->name, id);
	o = object_make(name);
	if ((o->parts = calloc(PARTS, sizeof *o->parts)) == NULL)
		abort();
	stats.uploads++;
	pthread_mutex_unlock(&lock);
}

static bool
is_left(const char *list, int number)
{
	for (const char *p = list; *p != '\0'; p += strcspn(p, ","), p += *p == ',')
		if (strtol(p, NULL, 10) == number)
			return true;
	return false;
}

int
sink_invent(struct request *r)
{
	int64_t size = request_number(r, "size", 0), step = request_number(r, "part", 0);
	int last = step > 0 ? (int)((size + step - 1) / step) : 0;
	char id[128], leave[512];
	struct body whole, rest;
	struct object *o;

	if (request_body(r, NULL) == -1)
		return -1;
	if (last < 1 || last >= PARTS || request_query(r, "leave", leave, sizeof leave) == NULL)
		return answer(r, 400, "", "%s", "");
	memmove(r->name, r->name + strlen("-/invent/"), strlen(r->name + strlen("-/invent/")) + 1);
	initiate(r, id, sizeof id);
	whole = source_body(0, step);
	rest = source_body((last - 1) * step, size - (last - 1) * step);
	pthread_mutex_lock(&lock);
	o = upload_find(r->name, id);
	for (int i = 1; o != NULL && i <= last; i++)
		if (!is_left(leave, i))
			o->parts[i] = i == last ? rest : source_body((i - 1) * step, step);
	pthread_mutex_unlock(&lock);
	return answer(r, 200, "Content-Type: application/json\r\n",
	    "{\"id\": \"%s\", \"crc\": \"%" PRIu64 "\", \"etag\": \"%s\", \"last_crc\": \"%" PRIu64
	    "\", \"last_etag\": \"%s\"}\n",
	    id, whole.crc, whole.etag, rest.crc, rest.etag);
}

int
sink_post(struct request *r)
{
	char id[128], etag[64];
	struct object *o, *upload;

	if (request_body(r, NULL) == -1)
		return -1;
	if (request_query(r, "uploads", id, sizeof id) != NULL) {
		initiate(r, id, sizeof id);
		return answer(r, 200, "",
		    "<InitiateMultipartUploadResult><UploadId>%s</UploadId></"
		    "InitiateMultipartUploadResult>",
		    id);
	}
	pthread_mutex_lock(&lock);
	if (request_query(r, "uploadId", id, sizeof id) == NULL ||
	    (upload = upload_find(r->name, id)) == NULL) {
		pthread_mutex_unlock(&lock);
		return answer_no_upload(r);
	}
	o = object_make(r->name);
	complete(upload, o);
	snprintf(etag, sizeof etag, "%s", o->etag);
	object_drop(upload);
	stats.uploads--;
	pthread_mutex_unlock(&lock);
	return answer(r, 200, "",
	    "<CompleteMultipartUploadResult><ETag>&quot;%s&quot;</ETag></"
	    "CompleteMultipartUploadResult>",
	    etag);
}

static void
write_parts(FILE *out, const struct object *o, int64_t marker, int64_t left)
{
	int64_t i = marker + 1, last = marker;

	for (; i < PARTS && left > 0; i++) {
		if (o->parts[i].size == 0)
			continue;
		fprintf(out,
		    "<Part><PartNumber>%" PRId64 "</PartNumber><Size>%" PRId64
		    "</Size><ETag>\"%s\"</ETag></Part>",
		    i, o->parts[i].size, o->parts[i].etag);
		last = i;
		left--;
	}
	while (i < PARTS && o->parts[i].size == 0)
		i++;
	fprintf(out,
	    "<IsTruncated>%s</IsTruncated><NextPartNumberMarker>%" PRId64 "</NextPartNumberMarker>",
	    i < PARTS ? "true" : "false", last);
}

static int
list_parts(struct request *r, const char *id)
{
	int64_t page = request_number(r, "max-parts", PAGE);
	char *text = NULL;
	struct object *o;
	FILE *out;
	size_t len;
	int rc;

	pthread_mutex_lock(&lock);
	if ((o = upload_find(r->name, id)) == NULL) {
		pthread_mutex_unlock(&lock);
		return answer_no_upload(r);
	}
	if ((out = open_memstream(&text, &len)) == NULL)
		abort();
	fprintf(out, "<ListPartsResult>");
	write_parts(out, o, request_number(r, "part-number-marker", 0), page < PAGE ? page : PAGE);
	fprintf(out, "</ListPartsResult>");
	fclose(out);
	pthread_mutex_unlock(&lock);
	rc = answer_long(r, text, len);
	free(text);
	return rc;
}

int
sink_get(struct request *r)
{
	char headers[512], id[128];
	struct object *o;
	int64_t size = 0;

	if (request_query(r, "uploadId", id, sizeof id) != NULL)
		return list_parts(r, id);
	pthread_mutex_lock(&lock);
	if ((o = object_find(r->name)) != NULL) {
		size = o->size;
		sums_headers(r, o->etag, o->crc, headers, sizeof headers);
	}
	pthread_mutex_unlock(&lock);
	if (o == NULL)
		return answer(r, 404, "", "%s", "");
	if (r->method[0] == 'H')
		return answer_head(r, 200, size, headers);
	return answer(r, 501, "", "nothing is kept here");
}

int
sink_delete(struct request *r)
{
	char id[128];
	struct object *o;
	bool upload = request_query(r, "uploadId", id, sizeof id) != NULL;

	pthread_mutex_lock(&lock);
	if ((o = upload ? upload_find(r->name, id) : object_find(r->name)) != NULL) {
		stats.uploads -= upload;
		object_drop(o);
	}
	pthread_mutex_unlock(&lock);
	return answer(r, 204, "", "%s", "");
}
