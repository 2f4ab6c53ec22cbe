/*
 * libFuzzer: any bytes are a credentials file, or, behind a first byte that is odd, what a
 * credentials_command prints.  Keys that are taken fit into a header line, and a refusal tells why
 * without showing a value.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/text.h"
#include "common/config/private.h"
#include "master/keys/document.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A header's value: no blanks, no control characters, and all zeros behind it. */
static void
check_text(const char *text, size_t size, bool needed)
{
	size_t len = strnlen(text, size), i;

	assert(len < size && (len > 0 || !needed));
	for (i = 0; i < len; i++)
		assert(!text_is_control(text[i]) && text[i] != ' ');
	for (; i < size; i++)
		assert(text[i] == '\0');
}

static void
check_keys(const struct store_keys *keys)
{
	check_text(keys->access_key, sizeof(keys->access_key), true);
	check_text(keys->secret_key, sizeof(keys->secret_key), true);
	check_text(keys->session_token, sizeof(keys->session_token), false);
}

static int
read_file(const char *data, size_t size, struct store_keys *keys, char *why, size_t why_size)
{
	char *text = strndup(data, size);
	struct config_why wrong = { .text = "" };
	int line, rc;

	memset(keys, 0, sizeof(*keys));
	rc = config_credentials_parse(text, "default", keys, &line, &wrong);
	strlcpy(why, wrong.text, why_size);
	free(text);
	return rc;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct store_keys keys;
	char why[512] = "";
	int rc;

	if (size == 0)
		return 0;
	if ((data[0] & 1) == 0)
		rc = read_file((const char *)data + 1, size - 1, &keys, why, sizeof(why));
	else
		rc = document_read((const char *)data + 1, size - 1, &keys, why, sizeof(why));
	if (rc == 0)
		check_keys(&keys);
	else
		assert(why[0] != '\0');
	return 0;
}
