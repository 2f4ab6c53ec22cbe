/*
 * libFuzzer: any bytes are a configuration.  A refusal names file, fault and remedy in one line.
 * What is taken can be written by config_dump(), without a password, and gives the same
 * configuration when it is read again.
 */
#include <assert.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/text.h"
#include "common/config/config.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int fd;
static char file[64];

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	if ((fd = memfd_create("ferryd.conf", MFD_CLOEXEC)) == -1)
		abort();
	snprintf(file, sizeof(file), "/proc/self/fd/%d", fd);
	return 0;
}

static struct config *
load(const void *data, size_t size, char *why, size_t why_size)
{
	if (ftruncate(fd, 0) == -1 || pwrite(fd, data, size, 0) != (ssize_t)size)
		abort();
	return config_load(file, why, why_size);
}

/* The configuration as text, on the heap. */
static char *
dump(const struct config *conf, size_t *len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, len);

	if (out == NULL)
		abort();
	config_dump(conf, out);
	fclose(out);
	return text;
}

static void
check_refusal(const char *why)
{
	assert(strncmp(why, file, strlen(file)) == 0);
	assert(strstr(why, "; ") != NULL);
	for (const char *p = why; *p != '\0'; p++)
		assert(!text_is_control(*p));
}

static void
check_masked(const char *conninfo)
{
	PQconninfoOption *options = PQconninfoParse(conninfo, NULL);

	for (PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++)
		assert(*o->dispchar != '*' || o->val == NULL || strcmp(o->val, "********") == 0);
	PQconninfoFree(options);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char why[1024] = "", *text, *text_again;
	size_t len, len_again;
	struct config *conf = load(data, size, why, sizeof(why)), *again;

	if (conf == NULL) {
		check_refusal(why);
		return 0;
	}
	text = dump(conf, &len);
	again = load(text, len, why, sizeof(why));
	if (again == NULL)
		fprintf(stderr, "%s\n%s\n", why, text);
	assert(again != NULL);
	check_masked(again->worker.database);
	text_again = dump(again, &len_again);
	assert(strcmp(text, text_again) == 0);
	memcpy(again->worker.database, conf->worker.database, sizeof(again->worker.database));
	assert(memcmp(conf, again, sizeof(*conf)) == 0);
	config_free(again);
	config_free(conf);
	free(text);
	free(text_again);
	return 0;
}
