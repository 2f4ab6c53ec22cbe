/*
 * What an answer said of an object, passed on.
 */
#include <string.h>

#include "tests/unit/tap.h"
#include "worker/store.h"

/* An answer's strings are copied one by one: none may be forgotten. */
static void
test_copy(void)
{
	static const char *const headers[][2] = {
		{ "Content-Length", "7" }, { "ETag", "\"e\"" }, { "x-amz-version-id", "v" }, { "Content-Type", "t/t" },
		{ "Cache-Control", "c" }, { "Content-Disposition", "d" }, { "Content-Encoding", "gzip" },
		{ "Content-Language", "l" }, { "Expires", "x" }, { "x-amz-meta-a", "m" }, { "Location", "http://h/" },
	};
	static struct object_info from, to;
	const struct config_store s3 = { .kind = STORE_S3 };
	size_t i;

	object_info_init(&from);
	for (i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
		store_take_header(&s3, &from, headers[i][0], headers[i][1]);
	ok(from.size == 7 && from.etag[0] != '\0' && from.version[0] != '\0' && from.content_type[0] != '\0' &&
	    from.cache_control[0] != '\0' && from.content_disposition[0] != '\0' && from.content_encoding[0] != '\0' &&
	    from.content_language[0] != '\0' && from.expires[0] != '\0' && from.metadata[0] != '\0' && from.location[0] != '\0',
	    "an answer that says all");
	object_info_copy(&to, &from);
	ok(memcmp(&to, &from, sizeof(to)) == 0, "is copied with all that it says");
	strlcpy(to.metadata, "of another", sizeof(to.metadata));
	object_info_init(&from);
	object_info_copy(&to, &from);
	ok(to.size == -1 && to.etag[0] == '\0' && to.metadata[0] == '\0' && to.location[0] == '\0',
	    "and one that says nothing leaves nothing of what was there");
}

int
main(void)
{
	test_copy();
	return done_testing();
}
