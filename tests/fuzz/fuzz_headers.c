/*
 * libFuzzer: any bytes are the header lines of a source's answer; the values taken become the
 * headers of a new object.  No value may add a line to a request, and what fits into a request by
 * store_fit() is refused by none.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/store/answer.h"
#include "worker/store/fit.h"
#include "worker/store/request.h"
#include "worker/store/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct config_store stores[] = {
	{ .name = "s3",
	    .kind = STORE_S3,
	    .endpoint = "http://h:1",
	    .access_key = "a",
	    .secret_key = "s" },
	{ .name = "cos",
	    .kind = STORE_COS,
	    .endpoint = "https://h",
	    .access_key = "a",
	    .secret_key = "s" },
	{ .name = "http", .kind = STORE_HTTP },
};

static void
build(const struct config_store *store, const struct object_info *taken)
{
	struct object_info info;
	struct store_call call = {
		.op = OP_PUT, .bucket = "bucket-1", .key = "k", .info = &info, .now = 1700000000
	};
	struct store_request req;
	char why[256] = "";

	object_info_init(&info);
	object_info_copy(&info, taken);
	store_fit(store, &info);
	assert(store_build(store, &call, &req, why, sizeof(why)) == 0);
	object_info_release(&info);
	for (const struct curl_slist *h = req.headers; h != NULL; h = h->next)
		for (const char *p = h->data; *p != '\0'; p++)
			assert((unsigned char)*p >= ' ' && *p != 0x7f);
	store_request_release(&req);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct config_store *store = &stores[size > 0 ? data[0] % 3 : 0];
	char *text = strndup((const char *)data, size), *rest = text, *line, *value;
	struct object_info info;

	object_info_init(&info);
	for (rest += *rest != '\0'; (line = strsep(&rest, "\n")) != NULL;) {
		value = strchr(line, ':');
		if (value == NULL)
			continue;
		*value++ = '\0';
		store_take_header(store, &info, line, value);
	}
	assert(info.size >= -1 && info.content_length >= -1 && info.range_last >= info.range_first);
	build(&stores[0], &info);
	build(&stores[1], &info);
	object_info_release(&info);
	free(text);
	return 0;
}
