/*
 * A draft collects address, parameters and headers of the operation, the dialect signs it, and the
 * URL and the header list for libcurl are made from it.
 */
#include "worker/store/request.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/memory.h"
#include "common/base/text.h"
#include "worker/store/private.h"

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

/*
 * Sets origin, host and path.  libcurl sends as Host the URL's authority without the port that the
 * scheme implies; d->host must be the same.
 */
static int
set_address(struct store_draft *d)
{
	const struct config_store *store = d->store;
	bool virtual = store->kind == STORE_COS || store->addressing == ADDRESSING_VIRTUAL;
	bool https = strncasecmp(store->endpoint, "https://", 8) == 0;
	const char *host = store->endpoint + (https ? 8 : 7), *port = https ? ":443" : ":80", *key;
	size_t len, port_len = strlen(port);
	char *authority;

	if (!https && strncasecmp(store->endpoint, "http://", 7) != 0) {
		snprintf(d->why, d->why_size,
		    "the endpoint of store %s is no http:// or https:// URL", store->name);
		return -1;
	}
	len = strcspn(host, "/");
	if (len > port_len && strncmp(host + len - port_len, port, port_len) == 0)
		len -= port_len;
	authority = draft_text(
	    d, "%s%s%.*s", virtual ? d->call->bucket : "", virtual ? "." : "", (int)len, host);
	if (authority == NULL)
		return -1;
	text_make_lower(authority);
	d->host = authority;
	d->origin = draft_text(d, "%s://%s", https ? "https" : "http", d->host);
	key = d->call->op == OP_LIST_UPLOADS ? "" : d->call->key;
	d->sign.path = draft_text(
	    d, "/%s%s%s", virtual ? "" : d->call->bucket, virtual || *key == '\0' ? "" : "/", key);
	return d->origin == NULL || d->sign.path == NULL ? -1 : 0;
}

static int
add_parameters(struct store_draft *d)
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
 * A weak ETag names no bytes: If-Match with it is false by definition (RFC 9110, 8.8.3.2), so that
 * each request would find a changed source.  It is left out; worker/endpoint compares the answers'
 * ETags instead.
 */
static int
add_conditions(struct store_draft *d)
{
	const struct store_call *call = d->call;
	bool reads = call->op == OP_GET || call->op == OP_HEAD;
	bool takes_if_match = reads || (call->op == OP_DELETE && d->store->kind == STORE_S3);
	const char *value;

	if (call->op == OP_GET && call->range_last >= 0) {
		value = draft_text(
		    d, "bytes=%" PRId64 "-%" PRId64, call->range_first, call->range_last);
		if (value == NULL || draft_header(d, "Range", value) == -1)
			return -1;
	}
	if (takes_if_match && call->if_match != NULL && call->if_match[0] != '\0' &&
	    strncmp(call->if_match, "W/", 2) != 0) {
		value = draft_text(d, "\"%s\"", call->if_match);
		if (value == NULL || draft_header(d, "If-Match", value) == -1)
			return -1;
	} else if (reads && call->if_unmodified_since != NULL &&
		   call->if_unmodified_since[0] != '\0') {
		if (draft_header(d, "If-Unmodified-Since", call->if_unmodified_since) == -1)
			return -1;
	}
	if (call->if_none_match_any && (call->op == OP_PUT || call->op == OP_COMPLETE))
		return draft_header(d, d->dialect->absent_only.name, d->dialect->absent_only.value);
	return 0;
}

static int
add_headers(struct store_draft *d)
{
	const struct store_call *call = d->call;
	bool creates = call->op == OP_PUT || call->op == OP_INITIATE || call->op == OP_COPY;
	bool copies = call->op == OP_COPY || call->op == OP_COPY_PART;
	bool has_body = call->op == OP_PUT || call->op == OP_UPLOAD_PART || call->op == OP_COMPLETE;

	if (add_conditions(d) == -1 || (copies && draft_copy_headers(d) == -1) ||
	    (creates && draft_object_headers(d) == -1))
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

/* Encodes the URL as it was signed. */
static char *
format_url(const struct store_draft *d)
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
 * libcurl's spelling: "Name;" is a header without value, "Name:" suppresses a header.  libcurl
 * would add headers that were not signed or that a store refuses; these are suppressed.
 */
static void
list_headers(const struct store_draft *d, struct curl_slist **list)
{
	bool typed = false;
	char line[HEADER_MAX];
	int i;

	for (i = 0; i < d->sign.nheaders; i++) {
		const struct sign_pair *h = &d->sign.headers[i];

		typed = typed || strcmp(h->name, "Content-Type") == 0;
		snprintf(line, sizeof(line), "%s%s%s", h->name, h->value[0] == '\0' ? ";" : ": ",
		    h->value);
		list_add(list, line);
	}
	if (!typed)
		list_add(list, "Content-Type:");
	list_add(list, "Expect:");
	list_add(list, "Transfer-Encoding:");
}

static int
fill_draft(struct store_draft *d, const char **url)
{
	if (d->store->kind == STORE_HTTP) {
		*url = d->call->key;
		return add_headers(d);
	}
	*url = NULL;
	if (set_address(d) == -1 || add_parameters(d) == -1 || add_headers(d) == -1)
		return -1;
	return d->store->access_key[0] != '\0' ? d->dialect->sign(d) : 0;
}

static int
check_call(
    const struct config_store *store, const struct store_call *call, char *why, size_t why_size)
{
	bool reads = call->op == OP_HEAD || call->op == OP_GET;
	bool of_upload = call->op == OP_UPLOAD_PART || call->op == OP_COMPLETE ||
			 call->op == OP_ABORT || call->op == OP_LIST_PARTS ||
			 call->op == OP_COPY_PART;

	if (store->kind == STORE_FILE || (!reads && !store_is_writable(store->kind))) {
		snprintf(why, why_size, "store %s (%s) takes no %s", store->name,
		    store_dialect(store->kind)->name, methods[call->op]);
		return -1;
	}
	if (of_upload && (call->upload_id == NULL || call->upload_id[0] == '\0')) {
		snprintf(why, why_size, "a request about an upload without its id");
		return -1;
	}
	return store_check_name(store, call->bucket, call->key, why, why_size);
}

int
store_build(const struct config_store *store, const struct store_call *call,
    struct store_request *req, char *why, size_t why_size)
{
	static struct store_draft draft;
	struct store_draft *d = &draft;
	const char *url;
	int result = -1;

	memset(req, 0, sizeof(*req));
	if (check_call(store, call, why, why_size) == -1)
		return -1;
	d->store = store;
	d->dialect = store_dialect(store->kind);
	d->call = call;
	d->why = why;
	d->why_size = why_size;
	d->sign.method = req->method = methods[call->op];
	if (fill_draft(d, &url) == 0) {
		req->url = url != NULL ? memory_strdup(url) : format_url(d);
		list_headers(d, &req->headers);
		result = 0;
	}
	/* wipe signatures and tokens; the unused rest of the arena is empty already */
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
