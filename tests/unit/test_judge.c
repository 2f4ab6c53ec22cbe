/*
 * Is a 2xx the store's own answer?  Each operation with what its answer must have, and with one
 * thing after the other missing.
 */
#include "tests/unit/tap.h"
#include "worker/store/answer.h"
#include "worker/store/judge.h"

#define ETAG "ETag: \"e\"\n"
#define LENGTH "Content-Length: 10\n"
#define HTML "Content-Type: text/html; charset=utf-8\n"

static struct object_info info;

/* Takes lines "Name: value\n" as the head of an answer. */
static void
take(enum store_kind kind, const char *head)
{
	const struct config_store store = { .kind = kind };
	char text[512], *rest = text, *line, *value;

	object_info_clear(&info);
	strlcpy(text, head, sizeof(text));
	while ((line = strsep(&rest, "\n")) != NULL && *line != '\0') {
		value = strstr(line, ": ");
		*value = '\0';
		store_take_header(&store, &info, line, value + 2);
	}
}

static void
test_heads(void)
{
	static const struct {
		enum store_kind kind;
		enum store_op op;
		int64_t first, last; /* of the range that was asked for; -1: none */
		int status;
		const char *head;
		const char *wrong; /* a part of the complaint; NULL: the answer is good */
	} cases[] = {
		{ STORE_S3, OP_HEAD, 0, -1, 200, ETAG LENGTH, NULL },
		{ STORE_S3, OP_HEAD, 0, -1, 200, LENGTH HTML, "no ETag" },
		{ STORE_S3, OP_HEAD, 0, -1, 200, ETAG, "how large" },
		{ STORE_S3, OP_HEAD, 0, -1, 204, ETAG LENGTH, "no object" },
		{ STORE_S3, OP_HEAD, 0, -1, 206, ETAG "Content-Range: bytes 0-9/10\n",
		    "no object" },
		{ STORE_COS, OP_HEAD, 0, -1, 200, LENGTH, "no ETag" },

		{ STORE_S3, OP_GET, 0, -1, 200, ETAG LENGTH, NULL },
		{ STORE_S3, OP_GET, 0, -1, 200, LENGTH HTML, "no ETag" },
		{ STORE_COS, OP_GET, 0, -1, 200, LENGTH, "no ETag" },
		{ STORE_HTTP, OP_GET, 0, -1, 200, LENGTH, NULL },
		{ STORE_HTTP, OP_GET, 0, -1, 200, "", NULL },
		{ STORE_HTTP, OP_GET, 0, -1, 201, LENGTH, "no object" },
		{ STORE_HTTP, OP_GET, 0, -1, 203, LENGTH, "no object" },
		{ STORE_HTTP, OP_GET, 0, -1, 204, "", "no object" },
		{ STORE_HTTP, OP_GET, 0, -1, 207, LENGTH, "no object" },
		{ STORE_HTTP, OP_GET, 0, -1, 206, "Content-Range: bytes 0-9/10\n", "whole object" },

		{ STORE_HTTP, OP_GET, 0, 9, 200, LENGTH, NULL }, /* whether that will do: pin.h */
		{ STORE_HTTP, OP_GET, 0, 9, 206, "Content-Range: bytes 0-9/100\n", NULL },
		{ STORE_HTTP, OP_GET, 0, 9, 206, "Content-Range: bytes 0-9/100\n" LENGTH, NULL },
		{ STORE_HTTP, OP_GET, 0, 9, 206, "Content-Range: bytes 0-9/*\n", NULL },
		{ STORE_HTTP, OP_GET, 0, 99, 206, "Content-Range: bytes 0-9/10\n", NULL },
		{ STORE_HTTP, OP_GET, 5, 9, 206, "Content-Range: bytes 5-9/10\n", NULL },
		{ STORE_HTTP, OP_GET, 5, 9, 206, "Content-Range: bytes 0-9/10\n", "range" },
		{ STORE_HTTP, OP_GET, 5, 9, 206, "Content-Range: bytes 5-8/10\n", "range" },
		{ STORE_HTTP, OP_GET, 5, 9, 206, "Content-Range: bytes 6-9/10\n", "range" },
		{ STORE_HTTP, OP_GET, 0, 9, 206, "Content-Range: bytes 0-10/100\n", "range" },
		{ STORE_HTTP, OP_GET, 0, 9, 206, "Content-Range: bytes 0-10/*\n", "range" },
		{ STORE_HTTP, OP_GET, 0, 9, 206, "Content-Range: bytes 9-0/100\n", "range" },
		{ STORE_HTTP, OP_GET, 0, 9, 206, LENGTH, "range" },
		{ STORE_HTTP, OP_GET, 0, 9, 206,
		    "Content-Range: bytes 0-9/100\nContent-Length: 11\n", "Content-Length" },
		{ STORE_S3, OP_GET, 0, 9, 206, "Content-Range: bytes 0-9/100\n", "no ETag" },

		{ STORE_S3, OP_PUT, 0, -1, 200, ETAG, NULL },
		{ STORE_S3, OP_PUT, 0, -1, 200, HTML, "no ETag" },
		{ STORE_S3, OP_PUT, 0, -1, 201, ETAG, "status" },
		{ STORE_COS, OP_UPLOAD_PART, 0, -1, 200, ETAG, NULL },
		{ STORE_COS, OP_UPLOAD_PART, 0, -1, 200, "", "no ETag" },
		{ STORE_COS, OP_UPLOAD_PART, 0, -1, 204, ETAG, "status" },
		{ STORE_S3, OP_INITIATE, 0, -1, 200, "", NULL },
		{ STORE_S3, OP_INITIATE, 0, -1, 202, "", "status" },
		{ STORE_S3, OP_COMPLETE, 0, -1, 202, "", "status" },
		{ STORE_S3, OP_LIST_PARTS, 0, -1, 204, "", "status" },
		{ STORE_S3, OP_LIST_UPLOADS, 0, -1, 206, "", "status" },
		{ STORE_S3, OP_COPY, 0, -1, 201, "", "status" },
		{ STORE_S3, OP_COPY_PART, 0, -1, 200, "", NULL },
		{ STORE_S3, OP_ABORT, 0, -1, 204, "", NULL },
		{ STORE_COS, OP_ABORT, 0, -1, 200, "", NULL },
		{ STORE_COS, OP_ABORT, 0, -1, 200, HTML, "HTML" },
		{ STORE_S3, OP_DELETE, 0, -1, 204, "", NULL },
		{ STORE_S3, OP_DELETE, 0, -1, 204, HTML, NULL }, /* it has no page */
		{ STORE_S3, OP_DELETE, 0, -1, 200, HTML, "HTML" },
		{ STORE_S3, OP_DELETE, 0, -1, 202, "", "status" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct store_call call = { .op = cases[i].op,
			.range_first = cases[i].first,
			.range_last = cases[i].last };
		const char *wrong;

		take(cases[i].kind, cases[i].head);
		wrong = store_judge_head(cases[i].kind, &call, cases[i].status, &info);
		ok(cases[i].wrong == NULL ? wrong == NULL
					  : wrong != NULL && strstr(wrong, cases[i].wrong) != NULL,
		    "operation %d of kind %d, %d: %s", (int)cases[i].op, (int)cases[i].kind,
		    cases[i].status, wrong != NULL ? wrong : "good");
	}
}

static void
test_framing(void)
{
	static const struct {
		const char *head;
		const char *wrong;
	} cases[] = {
		{ "Content-Length: 10\nContent-Length: 10\n", NULL },
		{ "Content-Length: 9223372036854775807\n", NULL },
		{ "Transfer-Encoding: chunked\n", NULL },
		{ "Transfer-Encoding: CHUNKED\n", NULL },
		{ "Content-Length: 0x10\n", "Content-Length" },
		{ "Content-Length: -1\n", "Content-Length" },
		{ "Content-Length: +1\n", "Content-Length" },
		{ "Content-Length: \n", "Content-Length" },
		{ "Content-Length: 10, 10\n", "Content-Length" },
		{ "Content-Length: 9223372036854775808\n", "Content-Length" },
		{ "Content-Length: 99999999999999999999\n", "Content-Length" },
		{ "Content-Length: 10\nContent-Length: 11\n", "Content-Length" },
		{ "Content-Length: 10\nContent-Length: x\n", "Content-Length" },
		{ "Transfer-Encoding: gzip\n", "chunked" },
		{ "Transfer-Encoding: gzip, chunked\n", "chunked" },
		{ "Transfer-Encoding: gzip\nTransfer-Encoding: chunked\n", "chunked" },
		{ "Transfer-Encoding: chunked\nTransfer-Encoding: chunked\n", "chunked" },
		{ "Transfer-Encoding: chunked\nContent-Length: 10\n", "both" },
	};
	static const enum store_op ops[] = { OP_GET, OP_UPLOAD_PART, OP_COMPLETE, OP_ABORT };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t j = 0; j < sizeof(ops) / sizeof(ops[0]); j++) {
			struct store_call call = { .op = ops[j], .range_last = -1 };
			const char *wrong;

			take(STORE_S3, cases[i].head);
			strlcpy(info.etag, "e", sizeof(info.etag));
			wrong = store_judge_head(STORE_S3, &call, 200, &info);
			ok(cases[i].wrong == NULL
				? wrong == NULL && !store_is_misframed(&info)
				: wrong != NULL && strstr(wrong, cases[i].wrong) != NULL &&
				      store_is_misframed(&info),
			    "operation %d: %.40s", (int)ops[j], cases[i].head);
		}
}

static void
test_documents(void)
{
	static const enum s3xml_root roots[] = {
		[OP_INITIATE] = S3XML_INITIATE,
		[OP_COMPLETE] = S3XML_COMPLETE,
		[OP_LIST_PARTS] = S3XML_LIST_PARTS,
		[OP_LIST_UPLOADS] = S3XML_LIST_UPLOADS,
		[OP_COPY] = S3XML_COPY_OBJECT,
		[OP_COPY_PART] = S3XML_COPY_PART,
	};
	static struct s3xml xml;

	for (int op = 0; op <= OP_COPY_PART; op++) {
		struct store_call call = { .op = (enum store_op)op };
		bool has_document = roots[op] != S3XML_NONE;
		bool may_fail = op == OP_COMPLETE || op == OP_COPY || op == OP_COPY_PART;

		is_int(store_answers_document(call.op), has_document, "operation %d", op);
		if (!has_document)
			continue;
		strlcpy(xml.upload_id, "u", sizeof(xml.upload_id));
		strlcpy(xml.etag, "e", sizeof(xml.etag));
		for (int root = S3XML_NONE; root <= S3XML_OTHER; root++) {
			bool good =
			    (enum s3xml_root)root == roots[op] || (root == S3XML_ERROR && may_fail);

			xml.root = (enum s3xml_root)root;
			ok((store_judge_document(&call, &xml) == NULL) == good,
			    "operation %d with document %d", op, root);
		}
		xml.root = roots[op];
		xml.upload_id[0] = '\0';
		ok((store_judge_document(&call, &xml) == NULL) == (op != OP_INITIATE),
		    "operation %d without an upload id", op);
		xml.etag[0] = '\0';
		strlcpy(xml.upload_id, "u", sizeof(xml.upload_id));
		ok((store_judge_document(&call, &xml) == NULL) == (op != OP_COPY_PART),
		    "operation %d without an ETag: Ceph completes like that", op);
	}
}

/* A page of HTML is no verdict on an object or on our keys, unless the store itself has sent it. */
static void
test_errors(void)
{
	static const struct {
		enum store_kind kind;
		int status;
		const char *head;
		bool has_error, good;
	} cases[] = {
		{ STORE_S3, 404, HTML, false, false },
		{ STORE_COS, 403, HTML, false, false },
		{ STORE_S3, 401, HTML, false, false },
		{ STORE_S3, 410, HTML, false, false },
		{ STORE_HTTP, 404, HTML, false, true },
		{ STORE_S3, 404, HTML, true, true },
		{ STORE_S3, 404, HTML "x-amz-request-id: 1\n", false, true },
		{ STORE_COS, 404, HTML "x-cos-request-id: 1\n", false, true },
		{ STORE_S3, 404, "Content-Type: application/xml\n", false, true },
		{ STORE_S3, 404, "", false, true },
		{ STORE_S3, 413, HTML, false, true },
		{ STORE_S3, 429, HTML, false, true },
		{ STORE_S3, 503, HTML, false, true },
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		take(cases[i].kind, cases[i].head);
		ok((store_judge_error(cases[i].kind, cases[i].status, &info, cases[i].has_error) ==
		       NULL) == cases[i].good,
		    "%d of kind %d with %s", cases[i].status, (int)cases[i].kind, cases[i].head);
	}
}

int
main(void)
{
	test_heads();
	test_errors();
	test_framing();
	test_documents();
	return done_testing();
}
