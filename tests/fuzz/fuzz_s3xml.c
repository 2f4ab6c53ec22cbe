/*
 * libFuzzer: any bytes are a store's answer, fed in pieces whose length the first byte gives.  An
 * accepted document must keep the promises of xml.h.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "worker/store/xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(const struct s3xml *x)
{
	int last = 0;

	assert(x->root != S3XML_NONE && x->nparts >= 0 && x->nparts <= S3XML_PARTS_MAX);
	assert(memchr(x->upload_id, '\0', sizeof(x->upload_id)) != NULL &&
	       strpbrk(x->upload_id, " \r\n") == NULL);
	assert(
	    memchr(x->etag, '\0', sizeof(x->etag)) != NULL && strpbrk(x->etag, " \r\n\"") == NULL);
	assert(memchr(x->code, '\0', sizeof(x->code)) != NULL);
	assert(memchr(x->message, '\0', sizeof(x->message)) != NULL);
	for (int i = 0; i < x->nparts; i++) {
		assert(x->parts[i].number > last && x->parts[i].number <= 10000 &&
		       x->parts[i].size >= 0);
		assert(strpbrk(x->parts[i].etag, " \r\n\"") == NULL);
		last = x->parts[i].number;
	}
	assert(
	    !x->truncated || x->root != S3XML_LIST_PARTS || (last > 0 && x->next_marker >= last));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct s3xml x;
	char why[128] = "";
	size_t step, at;

	if (size == 0 || s3xml_init(&x, true) == -1)
		return 0;
	step = (size_t)data[0] + 1;
	for (at = 1; at < size; at += step)
		if (s3xml_feed(&x, (const char *)data + at, size - at < step ? size - at : step) ==
		    -1)
			break;
	if (s3xml_finish(&x, why, sizeof(why)) == 0)
		check(&x);
	else
		assert(why[0] != '\0');
	s3xml_release(&x);
	return 0;
}
