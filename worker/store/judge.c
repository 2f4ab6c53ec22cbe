#include "worker/store/judge.h"

#include <string.h>
#include <strings.h>

bool
store_is_misframed(const struct object_info *info)
{
	return info->coding[0] != '\0' || info->bad_length[0] != '\0' ||
	       (info->chunked && info->content_length >= 0);
}

static const char *
judge_framing(const struct object_info *info)
{
	if (info->coding[0] != '\0')
		return "has a Transfer-Encoding other than chunked, which is not decoded";
	if (info->bad_length[0] != '\0')
		return "has a Content-Length that cannot be read, or two that differ";
	return "has both a Content-Length and a Transfer-Encoding";
}

/* A 206 must bring the range that was asked for.  Only the object's end may cut it short. */
static const char *
judge_range(const struct store_call *call, const struct object_info *info)
{
	int64_t last = call->range_last;

	if (last < 0)
		return "brings a range, but the whole object was asked for";
	if (info->size >= 0 && last > info->size - 1)
		last = info->size - 1;
	if (info->range_first != call->range_first || info->range_last > last ||
	    (info->size >= 0 && info->range_last != last))
		return "brings another range than the one asked for";
	if (info->content_length >= 0 &&
	    info->content_length != info->range_last - info->range_first + 1)
		return "has another Content-Length than its range";
	return NULL;
}

static const char *
judge_object(
    enum store_kind kind, const struct store_call *call, int status, const struct object_info *info)
{
	if (status != 200 && (status != 206 || call->op == OP_HEAD))
		return "carries no object";
	if (kind != STORE_HTTP && info->etag[0] == '\0')
		return "has no ETag, and each object of a store has one";
	if (call->op == OP_HEAD && info->size < 0)
		return "does not say how large the object is";
	return status == 206 ? judge_range(call, info) : NULL;
}

static bool
is_html(const struct object_info *info)
{
	return strncasecmp(object_info_text(info, INFO_CONTENT_TYPE), "text/html", 9) == 0;
}

/* Nothing but the status answers these. */
static const char *
judge_removal(int status, const struct object_info *info)
{
	if (status == 204)
		return NULL;
	if (status != 200)
		return "has a status that no store has for this";
	return is_html(info) ? "is a page of HTML" : NULL;
}

const char *
store_judge_head(
    enum store_kind kind, const struct store_call *call, int status, const struct object_info *info)
{
	if (store_is_misframed(info))
		return judge_framing(info);
	switch (call->op) {
	case OP_HEAD:
	case OP_GET:
		return judge_object(kind, call, status, info);
	case OP_ABORT:
	case OP_DELETE:
		return judge_removal(status, info);
	default:
		break;
	}
	if (status != 200)
		return "has a status that no store has for this";
	if ((call->op == OP_PUT || call->op == OP_UPLOAD_PART) && info->etag[0] == '\0')
		return "has no ETag, so that nothing shows that the store has the bytes";
	return NULL;
}

const char *
store_judge_error(enum store_kind kind, int status, const struct object_info *info, bool has_error)
{
	if ((kind != STORE_S3 && kind != STORE_COS) || has_error || info->has_request_id ||
	    (status != 401 && status != 403 && status != 404 && status != 410))
		return NULL;
	return is_html(info) ? "is a page of HTML, and not the store's" : NULL;
}

/* The root element of the document that answers an operation. */
static const enum s3xml_root roots[] = {
	[OP_INITIATE] = S3XML_INITIATE,
	[OP_COMPLETE] = S3XML_COMPLETE,
	[OP_LIST_PARTS] = S3XML_LIST_PARTS,
	[OP_LIST_UPLOADS] = S3XML_LIST_UPLOADS,
	[OP_COPY] = S3XML_COPY_OBJECT,
	[OP_COPY_PART] = S3XML_COPY_PART,
};

bool
store_answers_document(enum store_op op)
{
	return roots[op] != S3XML_NONE;
}

const char *
store_judge_document(const struct store_call *call, const struct s3xml *xml)
{
	bool works_on = call->op == OP_COMPLETE || call->op == OP_COPY || call->op == OP_COPY_PART;

	if (works_on && xml->root == S3XML_ERROR)
		return NULL;
	if (xml->root != roots[call->op])
		return "is not the document of this operation";
	if (call->op == OP_INITIATE && xml->upload_id[0] == '\0')
		return "names no upload";
	if (call->op == OP_COPY_PART && xml->etag[0] == '\0')
		return "has no ETag";
	return NULL;
}
