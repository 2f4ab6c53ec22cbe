/*
 * The configuration once it is loaded, and how loading tells the first error.
 */
#include "common/config/config.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/text.h"
#include "common/config/private.h"

int
config_fail(struct config_ctx *ctx, int line, const char *fmt, ...)
{
	char text[768];
	va_list ap;

	if (ctx->failed)
		return -1;
	ctx->failed = true;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	text_mask_controls(text); /* a line break in the file must not break the reason */
	if (line > 0)
		snprintf(ctx->why, ctx->why_size, "%s:%d: %s", ctx->conf->file, line, text);
	else
		snprintf(ctx->why, ctx->why_size, "%s: %s", ctx->conf->file, text);
	return -1;
}

int
config_line(const struct config_ctx *ctx, enum config_section section, const char *name)
{
	const struct config_key *key = config_key_find(section, name);

	if (key != NULL && ctx->lines[key - config_keys] != 0)
		return ctx->lines[key - config_keys];
	return section == SECTION_STORE ? ctx->section_line : 0;
}

void
config_free(struct config *conf)
{
	freezero(conf, sizeof(*conf));
}

const struct config_store *
config_find_store(const struct config *conf, const char *name)
{
	int i;

	for (i = 0; i < conf->nstores; i++)
		if (strcmp(conf->stores[i].name, name) == 0)
			return &conf->stores[i];
	return NULL;
}

const char *
store_kind_name(enum store_kind kind)
{
	static const char *const names[] = { "s3", "cos", "file", "http" };

	return (unsigned)kind <= STORE_HTTP ? names[kind] : "unknown";
}

const char *
store_verify_name(enum store_verify verify)
{
	static const char *const names[] = { "auto", "crc64", "crc32c", "md5", "size", "none" };

	return (unsigned)verify <= VERIFY_NONE ? names[verify] : "unknown";
}

const char *
store_encryption_name(enum store_encryption encryption)
{
	static const char *const names[] = { "none", "AES256", "aws:kms", "aws:kms:dsse",
		"cos/kms" };

	return (unsigned)encryption <= ENCRYPTION_COS_KMS ? names[encryption] : "unknown";
}

const char *
memory_backend_name(enum memory_backend backend)
{
	static const char *const names[] = { "auto", "cgroup v2", "cgroup v1", "rlimit" };

	return (unsigned)backend <= MEMORY_RLIMIT ? names[backend] : "unknown";
}
