/*
 * Copies of what an answer says of an object.
 */
#include <stddef.h>
#include <string.h>

#include "tests/unit/tap.h"
#include "worker/store/answer.h"
#include "worker/store/store.h"

/* object_info_copy() copies the strings one by one, and must not forget any. */
static void
test_copy(void)
{
	static const char *const headers[][2] = {
		{ "Content-Length", "7" },
		{ "ETag", "\"e\"" },
		{ "x-amz-version-id", "v" },
		{ "x-amz-checksum-crc32c", "4waSgw==" },
		{ "Content-Type", "t/t" },
		{ "Cache-Control", "c" },
		{ "Content-Disposition", "d" },
		{ "Content-Encoding", "gzip" },
		{ "Content-Language", "l" },
		{ "Expires", "x" },
		{ "x-amz-meta-a", "m" },
		{ "Location", "http://h/" },
		{ "Last-Modified", "Thu, 26 Nov 2026 10:00:00 GMT" },
		{ "Server", "s" },
		{ "Transfer-Encoding", "gzip" },
		{ "Content-Length", "x" },
	};
	static struct object_info from, to;
	const struct config_store s3 = { .kind = STORE_S3 };
	bool full = true;
	size_t i;

	object_info_init(&from);
	for (i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
		store_take_header(&s3, &from, headers[i][0], headers[i][1]);
	for (enum info_text t = 0; t < INFO_TEXTS; t++)
		full = full && (t == INFO_LOST || object_info_text(&from, t)[0] != '\0');
	ok(from.size == 7 && from.etag[0] != '\0' && full && from.modified[0] != '\0' &&
		from.server[0] != '\0' && from.coding[0] != '\0' && from.bad_length[0] != '\0',
	    "an answer with all headers");
	object_info_init(&to);
	object_info_copy(&to, &from);
	ok(to.used == from.used && memcmp(to.texts, from.texts, to.used) == 0 &&
		memcmp(&to, &from, offsetof(struct object_info, room)) == 0,
	    "is copied completely");
	ok(to.texts != from.texts, "into memory of its own");
	object_info_clear(&from);
	object_info_copy(&to, &from);
	ok(to.size == -1 && !to.has_crc32c && to.etag[0] == '\0' && to.used == 0 &&
		to.modified[0] == '\0' && to.server[0] == '\0' && to.coding[0] == '\0' &&
		to.bad_length[0] == '\0' && !to.chunked && to.range_total == -1 &&
		to.modified_at == -1,
	    "an empty answer overwrites the copy");
	object_info_release(&to);
	object_info_release(&from);
	ok(to.texts == NULL && from.texts == NULL && from.room == 0, "nothing is held in the end");
}

/* Whatever the memory held before: the same must come of it. */
static void
test_init(void)
{
	struct object_info info, clean;

	memset(&clean, 0, sizeof(clean));
	object_info_init(&clean);
	memset(&info, 0xff, sizeof(info));
	object_info_init(&info);
	ok(memcmp(&info, &clean, sizeof(info)) == 0, "every field is set by init");
	object_info_add(&info, INFO_EXPIRES, "x");
	info.has_crc32c = info.opaque_etag = info.words = true;
	info.crc32c = 7;
	strlcpy(info.etag, "e", sizeof(info.etag));
	object_info_clear(&info);
	ok(info.room > 0 && info.texts != NULL, "clear keeps the memory");
	object_info_release(&info);
	ok(memcmp(&info, &clean, sizeof(info)) == 0, "and nothing else");
}

static void
test_texts(void)
{
	struct object_info info;
	const char *pair;

	object_info_init(&info);
	is_str(object_info_text(&info, INFO_EXPIRES), "", "no text");
	ok(object_info_next(&info, INFO_METADATA, NULL) == NULL, "no pair");
	object_info_add_metadata(&info, "a\x1f"
					"1\x1e"
					"b\x1f\x1e"
					"c\x1f"
					"3");
	object_info_set(&info, INFO_EXPIRES, "x");
	object_info_set(&info, INFO_EXPIRES, "y");
	is_str(object_info_text(&info, INFO_EXPIRES), "y", "a text is replaced");
	pair = object_info_next(&info, INFO_METADATA, NULL);
	is_str(pair,
	    "a\x1f"
	    "1",
	    "first pair");
	pair = object_info_next(&info, INFO_METADATA, pair);
	is_str(pair, "b\x1f", "a pair without value");
	pair = object_info_next(&info, INFO_METADATA, pair);
	is_str(pair,
	    "c\x1f"
	    "3",
	    "a pair without an end");
	ok(object_info_next(&info, INFO_METADATA, pair) == NULL, "no more");
	object_info_remove_some(&info, INFO_METADATA, "B");
	is_str(object_info_text(&info, INFO_EXPIRES), "y", "removing one leaves the others");
	pair = object_info_next(&info, INFO_METADATA, object_info_next(&info, INFO_METADATA, NULL));
	is_str(pair,
	    "c\x1f"
	    "3",
	    "in any case of letters");
	object_info_release(&info);
}

int
main(void)
{
	test_copy();
	test_init();
	test_texts();
	return done_testing();
}
