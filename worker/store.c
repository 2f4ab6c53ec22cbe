/*
 * Building requests: address, parameters and headers of each operation, in a draft that the dialect then signs, and from that
 * the URL and the header list as libcurl takes them.
 */
#include "worker/store.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "worker/memory.h"
#include "worker/store_dialect.h"

static const char *const methods[] = {
	[OP_HEAD] = "HEAD",
	[OP_GET] = "GET",
	[OP_PUT] = "PUT",
	[OP_INITIATE] = "POST",
	[OP_UPLOAD_PART] = "PUT",
	[OP_COMPLETE] = "POST",
	[OP_ABORT] = "DELETE",
	[OP_LIST_PARTS] = "GET",
	[OP_LIST_UPLOADS] = "GET",
	[OP_DELETE] = "DELETE",
	[OP_COPY] = "PUT",
	[OP_COPY_PART] = "PUT",
};

static const struct store_dialect *const dialects[] = {
	[STORE_S3] = &store_dialect_s3,
	[STORE_COS] = &store_dialect_cos,
	[STORE_FILE] = &store_dialect_file,
	[STORE_HTTP] = &store_dialect_http,
};

const struct store_dialect *
store_dialect(enum store_kind kind)
{
	return dialects[kind];
}

bool
store_is_writable(enum store_kind kind)
{
	return dialects[kind]->writable;
}

const struct store_limits *
store_limits(enum store_kind kind)
{
	return &dialects[kind]->limits;
}

int
store_check_name(const struct config_store *store, const char *bucket, const char *key, char *why, size_t why_size)
{
	const struct store_dialect *dialect = dialects[store->kind];
	size_t len = strlen(key);
	const char *wrong;

	wrong = dialect->check_bucket != NULL ? dialect->check_bucket(store, bucket == NULL ? "" : bucket) : NULL;
	if (wrong != NULL) {
		snprintf(why, why_size, "bucket \"%.80s\" of store %s: %s", bucket == NULL ? "" : bucket, store->name,
		    wrong);
		return -1;
	}
	if (len == 0) {
		snprintf(why, why_size, "the key is empty");
		return -1;
	}
	if (len > (size_t)dialect->limits.key_max) {
		snprintf(why, why_size, "the key has %zu bytes, store %s (%s) takes %d at most", len, store->name,
		    dialect->name, dialect->limits.key_max);
		return -1;
	}
	if (!store_is_header_value(key) || (store->kind == STORE_HTTP && strchr(key, ' ') != NULL)) {
		snprintf(why, why_size, "the key has a %s in it",
		    store->kind == STORE_HTTP ? "blank or control character" : "control character");
		return -1;
	}
	return 0;
}

char *
draft_text(struct store_draft *d, const char *fmt, ...)
{
	char *start = d->arena + d->used;
	size_t room = sizeof(d->arena) - d->used;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(start, room, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= room) {
		snprintf(d->why, d->why_size, "headers and names are longer than the %d bytes that a request may have",
		    DRAFT_ARENA);
		return NULL;
	}
	d->used += (size_t)n + 1;
	return start;
}

int
draft_query(struct store_draft *d, const char *name, const char *value)
{
	if (d->sign.nquery == SIGN_PAIRS_MAX) {
		snprintf(d->why, d->why_size, "more than %d parameters", SIGN_PAIRS_MAX);
		return -1;
	}
	d->sign.query[d->sign.nquery++] = (struct sign_pair){ name, value };
	return 0;
}

/*
 * Where the request goes.  What libcurl will send as Host is computed as it does: the URL's authority without the port that
 * the scheme implies.
 */
static int
draft_address(struct store_draft *d)
{
	const struct config_store *store = d->store;
	bool virtual = store->kind == STORE_COS || store->addressing == ADDRESSING_VIRTUAL;
	bool https = strncasecmp(store->endpoint, "https://", 8) == 0;
	const char *host = store->endpoint + (https ? 8 : 7), *port = https ? ":443" : ":80", *key;
	size_t len, port_len = strlen(port);
	char *authority, *p;

	if (!https && strncasecmp(store->endpoint, "http://", 7) != 0) {
		snprintf(d->why, d->why_size, "the endpoint of store %s is no http:// or https:// URL", store->name);
		return -1;
	}
	len = strcspn(host, "/");
	if (len > port_len && strncmp(host + len - port_len, port, port_len) == 0)
		len -= port_len;
	authority = draft_text(d, "%s%s%.*s", virtual ? d->call->bucket : "", virtual ? "." : "", (int)len, host);
	if (authority == NULL)
		return -1;
	for (p = authority; *p != '\0'; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	d->host = authority;
	d->origin = draft_text(d, "%s://%s", https ? "https" : "http", d->host);
	key = d->call->op == OP_LIST_UPLOADS ? "" : d->call->key;
	d->sign.path = draft_text(d, "/%s%s%s", virtual ? "" : d->call->bucket, virtual || *key == '\0' ? "" : "/", key);
	return d->origin == NULL || d->sign.path == NULL ? -1 : 0;
}

static int
draft_parameters(struct store_draft *d)
{
	const struct store_call *call = d->call;
	const char *number;

	switch (call->op) {
	case OP_INITIATE:
		return draft_query(d, "uploads", "");
	case OP_UPLOAD_PART:
	case OP_COPY_PART:
		number = draft_text(d, "%d", call->part_number);
		if (number == NULL || draft_query(d, "partNumber", number) == -1)
			return -1;
		return draft_query(d, "uploadId", call->upload_id);
	case OP_LIST_PARTS:
		number = draft_text(d, "%d", call->part_marker);
		if (number == NULL || draft_query(d, "max-parts", "1000") == -1 ||
		    (call->part_marker > 0 && draft_query(d, "part-number-marker", number) == -1))
			return -1;
		return draft_query(d, "uploadId", call->upload_id);
	case OP_LIST_UPLOADS:
		number = draft_text(d, "%d", S3XML_UPLOADS_MAX);
		if (number == NULL || draft_query(d, "max-uploads", number) == -1 ||
		    draft_query(d, "prefix", call->key) == -1)
			return -1;
		return draft_query(d, "uploads", "");
	case OP_COMPLETE:
	case OP_ABORT:
		return draft_query(d, "uploadId", call->upload_id);
	case OP_HEAD:
	case OP_GET:
	case OP_PUT:
	case OP_DELETE:
	case OP_COPY:
		break;
	}
	return 0;
}

/*
 * A weak ETag names no bytes: If-Match with one is false by definition (RFC 9110, 8.8.3.2) and would make of every
 * request a source that has changed.  So it is left out, and whoever pins by it compares the answers' ETags.
 */
static int
draft_conditions(struct store_draft *d)
{
	const struct store_call *call = d->call;
	const char *value;

	if (call->op == OP_GET && call->range_last >= 0) {
		value = draft_text(d, "bytes=%" PRId64 "-%" PRId64, call->range_first, call->range_last);
		if (value == NULL || draft_header(d, "Range", value) == -1)
			return -1;
	}
	if ((call->op == OP_GET || call->op == OP_HEAD) && call->if_match != NULL && call->if_match[0] != '\0' &&
	    strncmp(call->if_match, "W/", 2) != 0) {
		value = draft_text(d, "\"%s\"", call->if_match);
		if (value == NULL || draft_header(d, "If-Match", value) == -1)
			return -1;
	}
	if (call->if_none_match_any && (call->op == OP_PUT || call->op == OP_COMPLETE))
		return draft_header(d, d->dialect->absent_only.name, d->dialect->absent_only.value);
	return 0;
}

static int
draft_headers(struct store_draft *d)
{
	const struct store_call *call = d->call;
	bool creates = call->op == OP_PUT || call->op == OP_INITIATE || call->op == OP_COPY;
	bool copies = call->op == OP_COPY || call->op == OP_COPY_PART;
	bool has_body = call->op == OP_PUT || call->op == OP_UPLOAD_PART || call->op == OP_COMPLETE;

	if (draft_conditions(d) == -1 || (copies && draft_copy_headers(d) == -1) || (creates && draft_object_headers(d) == -1))
		return -1;
	if (call->crc32c && draft_checksum(d) == -1)
		return -1;
	if (call->op == OP_COMPLETE && draft_header(d, "Content-Type", "application/xml") == -1)
		return -1;
	if (has_body && call->content_md5 != NULL && call->content_md5[0] != '\0' &&
	    draft_header(d, "Content-MD5", call->content_md5) == -1)
		return -1;
	return 0;
}

/* Encoded as it was signed, so that both sides see the same. */
static char *
draft_url(const struct store_draft *d)
{
	size_t size = strlen(d->origin) + 3 * strlen(d->sign.path) + 2, len;
	char *url;
	int i;

	for (i = 0; i < d->sign.nquery; i++)
		size += 3 * (strlen(d->sign.query[i].name) + strlen(d->sign.query[i].value)) + 2;
	url = memory_alloc(size);
	len = strlcpy(url, d->origin, size);
	len += (size_t)sign_encode(d->sign.path, true, url + len, size - len);
	for (i = 0; i < d->sign.nquery; i++) {
		len += strlcpy(url + len, i == 0 ? "?" : "&", size - len);
		len += (size_t)sign_encode(d->sign.query[i].name, false, url + len, size - len);
		if (d->sign.query[i].value[0] == '\0')
			continue;
		len += strlcpy(url + len, "=", size - len);
		len += (size_t)sign_encode(d->sign.query[i].value, false, url + len, size - len);
	}
	return url;
}

static void
list_add(struct curl_slist **list, const char *text)
{
	*list = curl_slist_append(*list, text);
	if (*list == NULL)
		memory_exhausted(strlen(text));
}

/*
 * In libcurl's spelling: "Name;" is a header without value, "Name:" one that is not to be sent.  Those that it would add of its
 * own and that were not signed, or that a store refuses, are suppressed.
 */
static void
draft_list(const struct store_draft *d, struct curl_slist **list)
{
	bool typed = false;
	char line[HEADER_MAX];
	int i;

	for (i = 0; i < d->sign.nheaders; i++) {
		const struct sign_pair *h = &d->sign.headers[i];

		typed = typed || strcmp(h->name, "Content-Type") == 0;
		snprintf(line, sizeof(line), "%s%s%s", h->name, h->value[0] == '\0' ? ";" : ": ", h->value);
		list_add(list, line);
	}
	if (!typed)
		list_add(list, "Content-Type:");
	list_add(list, "Expect:");
	list_add(list, "Transfer-Encoding:");
}

static int
draft_store_request(struct store_draft *d, const char **url)
{
	if (d->store->kind == STORE_HTTP) {
		*url = d->call->key;
		return draft_headers(d);
	}
	*url = NULL;
	if (draft_address(d) == -1 || draft_parameters(d) == -1 || draft_headers(d) == -1)
		return -1;
	return d->store->access_key[0] != '\0' ? d->dialect->sign(d) : 0;
}

static int
check_call(const struct config_store *store, const struct store_call *call, char *why, size_t why_size)
{
	bool reads = call->op == OP_HEAD || call->op == OP_GET;
	bool of_upload = call->op == OP_UPLOAD_PART || call->op == OP_COMPLETE || call->op == OP_ABORT ||
	    call->op == OP_LIST_PARTS || call->op == OP_COPY_PART;

	if (store->kind == STORE_FILE || (!reads && !store_is_writable(store->kind))) {
		snprintf(why, why_size, "store %s (%s) knows no request of the kind %s", store->name,
		    dialects[store->kind]->name, methods[call->op]);
		return -1;
	}
	if (of_upload && (call->upload_id == NULL || call->upload_id[0] == '\0')) {
		snprintf(why, why_size, "a request about an upload without its id");
		return -1;
	}
	return store_check_name(store, call->bucket, call->key, why, why_size);
}

int
store_build(const struct config_store *store, const struct store_call *call, struct store_request *req, char *why,
    size_t why_size)
{
	static struct store_draft draft;
	struct store_draft *d = &draft;
	const char *url;
	int result = -1;

	memset(req, 0, sizeof(*req));
	if (check_call(store, call, why, why_size) == -1)
		return -1;
	d->store = store;
	d->dialect = dialects[store->kind];
	d->call = call;
	d->why = why;
	d->why_size = why_size;
	d->sign.method = req->method = methods[call->op];
	if (draft_store_request(d, &url) == 0) {
		req->url = url != NULL ? memory_strdup(url) : draft_url(d);
		draft_list(d, &req->headers);
		result = 0;
	}
	/* signatures and tokens do not stay; what was never used is empty still */
	explicit_bzero(d->arena, result == 0 ? d->used : sizeof(d->arena));
	explicit_bzero(d, offsetof(struct store_draft, arena));
	return result;
}

void
store_request_release(struct store_request *req)
{
	memory_free(req->url);
	curl_slist_free_all(req->headers);
	memset(req, 0, sizeof(*req));
}
