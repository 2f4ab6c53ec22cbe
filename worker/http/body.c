/*
 * What becomes of an answer's body: the caller's function takes an object, a document is read, and
 * of what is neither a sample is kept for the message.
 */
#include "common/base/memory.h"
#include "common/base/text.h"
#include "worker/http/private.h"
#include "worker/store/judge.h"

/* bytes */
#define ERROR_DOCUMENT_MAX (64 << 10)
#define DOCUMENT_MAX (4 << 20) /* ListParts, and Complete with its blanks */
#define FOREIGN_MAX (4 << 10) /* read of a body for the sample in a message */

bool
http_wants_xml(const struct http_request *r)
{
	return !http_is_success(r) || store_answers_document(r->call.op);
}

static void
take_sample(struct http_request *r, const char *buf, size_t len)
{
	for (; len > 0 && r->nsample < HTTP_SAMPLE; buf++, len--)
		if (text_is_printable(*buf))
			r->sample[r->nsample++] = *buf;
	r->sample[r->nsample] = '\0';
}

/* Reads as much as a message needs. */
static size_t
take_foreign(struct http_request *r, const char *buf, size_t len)
{
	take_sample(r, buf, len);
	r->document_bytes += len;
	return r->nsample < HTTP_SAMPLE && r->document_bytes < FOREIGN_MAX ? len : 0;
}

static size_t
take_document(struct http_request *r, const char *buf, size_t len)
{
	size_t max = http_is_success(r) ? DOCUMENT_MAX : ERROR_DOCUMENT_MAX;

	take_sample(r, buf, len);
	r->document_bytes += len;
	if (r->document_bytes > max) {
		if (http_is_success(r))
			failure_set(&r->refused, CLASS_TRANSIENT, "an answer of more than %zu KiB",
			    max >> 10);
		return 0;
	}
	if (!r->xml_open) {
		if (s3xml_init(&r->xml, http_lists(r) && http_is_success(r)) == -1)
			memory_exhausted(sizeof(r->xml));
		r->xml_open = true;
	}
	/* s3xml_finish() reports what is wrong with it */
	s3xml_feed(&r->xml, buf, len);
	return len;
}

size_t
http_on_write(char *buf, size_t size, size_t n, void *arg)
{
	struct http_request *r = arg;
	size_t len = size * n;

	if (r->foreign != NULL)
		return take_foreign(r, buf, len);
	if (http_wants_xml(r))
		return take_document(r, buf, len);
	if (r->nsample == 0)
		take_sample(r, buf, len);
	if (r->on_body == NULL)
		return len;
	switch (r->on_body(r, buf, len)) {
	case HTTP_TAKEN:
		return len;
	case HTTP_PAUSE:
		return CURL_WRITEFUNC_PAUSE;
	case HTTP_ENOUGH:
		r->enough = true;
		return 0;
	case HTTP_REFUSE:
		break;
	}
	return 0;
}
