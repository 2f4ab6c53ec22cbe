/*
 * What "init" and "prepare" make must not depend on what the memory held before.  Each is called on
 * memory full of ones and on memory full of zeros, and must leave the same.  test_object_info.c
 * does this for struct object_info.
 */
#include <stddef.h>
#include <string.h>

#include "tests/unit/tap.h"
#include "worker/base/failure.h"
#include "worker/endpoint/file.h"
#include "worker/event/query.h"
#include "worker/http/http.h"
#include "worker/pipe/reader.h"
#include "worker/pipe/writer.h"
#include "worker/store/xml.h"

/* Two places for a struct, the one full of ones, the other of zeros; its first len bytes count. */
#define TWO(type)                                  \
	static type ones, zeros;                   \
	memset((void *)&ones, 0xff, sizeof(ones)); \
	memset((void *)&zeros, 0, sizeof(zeros))
#define SAME(len, ...) ok(memcmp(&ones, &zeros, (len)) == 0, __VA_ARGS__)

static void
test_small(void)
{
	static const struct db_stmt stmt = { "s", "SELECT", 0 };

	{
		TWO(struct failure);
		failure_init(&ones);
		failure_init(&zeros);
		SAME(sizeof(ones), "a failure");
	}
	{
		TWO(struct query);
		query_init(&ones, &stmt);
		query_init(&zeros, &stmt);
		SAME(sizeof(ones), "a query");
	}
	{
		TWO(struct file);
		file_init(&ones);
		file_init(&zeros);
		SAME(sizeof(ones), "a file");
	}
}

/* A document is emptied when its first byte comes; until then only its root counts. */
static void
test_requests(void)
{
	static struct store store;
	static struct source source = { .store = &store };
	static struct transfer t = { .destination.store = &store };
	static struct ring ring;

	{
		TWO(struct http_request);
		http_prepare(&ones, &store, OP_HEAD);
		http_prepare(&zeros, &store, OP_HEAD);
		SAME(offsetof(struct http_request, xml), "a request");
		ok(ones.xml.root == S3XML_NONE && !ones.xml_open, "without a document");
	}
	{
		TWO(struct reader);
		reader_init(&ones, NULL, &source, &ring, BUFFERS_NORMAL);
		reader_init(&zeros, NULL, &source, &ring, BUFFERS_NORMAL);
		SAME(offsetof(struct reader, get.xml), "a reader");
	}
	{
		TWO(struct writer);
		writer_init(&ones, &t, &ring, BUFFERS_NORMAL);
		writer_init(&zeros, &t, &ring, BUFFERS_NORMAL);
		SAME(offsetof(struct writer, put.xml), "a writer");
	}
	{
		TWO(struct s3xml);
		s3xml_init(&ones, false);
		s3xml_init(&zeros, false);
		ok(ones.parser != zeros.parser && ones.parser != NULL, "a document has a parser");
		s3xml_release(&ones);
		s3xml_release(&zeros);
		SAME(sizeof(ones), "and nothing of other memory");
	}
}

int
main(void)
{
	test_small();
	test_requests();
	return done_testing();
}
