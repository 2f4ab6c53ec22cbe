#include <string.h>

#include "worker/http/private.h"
#include "worker/session/notes.h"

static enum request_op
kind_of(enum store_op op)
{
	static const enum request_op kinds[] = {
		[OP_HEAD] = REQUEST_HEAD,
		[OP_GET] = REQUEST_GET,
		[OP_PUT] = REQUEST_PUT,
		[OP_INITIATE] = REQUEST_INITIATE,
		[OP_UPLOAD_PART] = REQUEST_UPLOAD_PART,
		[OP_COMPLETE] = REQUEST_COMPLETE,
		[OP_ABORT] = REQUEST_ABORT,
		[OP_LIST_PARTS] = REQUEST_LIST_PARTS,
		[OP_LIST_UPLOADS] = REQUEST_LIST_UPLOADS,
		[OP_DELETE] = REQUEST_DELETE,
		[OP_COPY] = REQUEST_COPY,
		[OP_COPY_PART] = REQUEST_COPY_PART,
	};

	return kinds[op];
}

/* When the certificate of the store ends, if this request has made its connection. */
static void
note_certificate(struct http_request *r)
{
	static const char field[] = "Expire date:";
	struct curl_certinfo *info = NULL;
	struct curl_slist *line;

	if (r->store->conf.kind == STORE_HTTP ||
	    curl_easy_getinfo(r->easy, CURLINFO_CERTINFO, &info) != CURLE_OK || info == NULL ||
	    info->num_of_certs < 1)
		return;
	/* the first one is the store's own */
	for (line = info->certinfo[0]; line != NULL; line = line->next)
		if (strncmp(line->data, field, strlen(field)) == 0)
			notes_certificate(r->http->worker, r->store,
			    curl_getdate(line->data + strlen(field), NULL));
}

void
http_count(struct http_request *r)
{
	tally_add(&r->http->worker->tally, r->store->conf.name, kind_of(r->call.op), r->status);
	note_certificate(r);
}
