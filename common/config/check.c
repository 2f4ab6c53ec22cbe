/*
 * The checks of a complete section and of the whole file: missing keys, and keys that contradict
 * each other.
 */
#include "common/config/private.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/base/units.h"

int
config_check_name(struct config_ctx *ctx, const char *name, int line)
{
	size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789+.-");

	if (strcmp(name, "http") == 0 || strcmp(name, "https") == 0)
		return config_fail(ctx, line,
		    "store \"%s\": the name is taken by URLs; choose another, and allow URLs in "
		    "http { }",
		    name);
	if (name[0] < 'a' || name[0] > 'z' || name[len] != '\0' || len >= CONFIG_NAME_MAX)
		return config_fail(ctx, line,
		    "store \"%.64s\": a bad name; a small letter, then small letters, digits, '+', "
		    "'.' and '-', at most %d",
		    name, CONFIG_NAME_MAX - 1);
	return 0;
}

/* Fails at the line of key, for the store that is being read. */
#define FAIL(key, ...) config_fail(ctx, config_line(ctx, SECTION_STORE, key), __VA_ARGS__)
#define IS_SET(key) (ctx->lines[config_key_find(SECTION_STORE, key) - config_keys] != 0)

/* Refuses keys that the store's kind does not have. */
static int
check_keys(struct config_ctx *ctx, const struct config_store *store)
{
	size_t i;

	for (i = 0; i < CONFIG_KEYS; i++)
		if (config_keys[i].section == SECTION_STORE && ctx->lines[i] != 0 &&
		    (config_keys[i].kinds & 1u << store->kind) == 0)
			return config_fail(ctx, ctx->lines[i],
			    "store \"%s\": %s has no meaning for kind \"%s\"; leave it out",
			    store->name, config_keys[i].name, store_kind_name(store->kind));
	return 0;
}

static int
check_keypair(struct config_ctx *ctx, const struct config_store *store)
{
	bool access = IS_SET("access_key") || IS_SET("access_key_file");
	bool secret = IS_SET("secret_key_file") || IS_SET("secret_key_env");

	if (IS_SET("access_key") && IS_SET("access_key_file"))
		return FAIL("access_key_file",
		    "store \"%s\": access_key and access_key_file; one of them is enough",
		    store->name);
	if (IS_SET("secret_key_file") && IS_SET("secret_key_env"))
		return FAIL("secret_key_env",
		    "store \"%s\": secret_key_file and secret_key_env; one of them is enough",
		    store->name);
	if (access && !secret)
		return FAIL(IS_SET("access_key") ? "access_key" : "access_key_file",
		    "store \"%s\": an access key without its secret; add secret_key_file or "
		    "secret_key_env",
		    store->name);
	if (secret && !access)
		return FAIL(IS_SET("secret_key_env") ? "secret_key_env" : "secret_key_file",
		    "store \"%s\": a secret key without its access key; add access_key",
		    store->name);
	if (IS_SET("session_token_file") && !secret)
		return FAIL("session_token_file",
		    "store \"%s\": a session token without keys; add access_key and "
		    "secret_key_file",
		    store->name);
	return 0;
}

/* Keys from a credentials file or from a command: from one place only, and from all of it. */
static int
check_credentials(struct config_ctx *ctx, const struct config_store *store)
{
	static const char *const others[] = { "access_key", "access_key_file", "secret_key_file",
		"secret_key_env", "session_token_file" };
	const char *here = IS_SET("credentials_file") ? "credentials_file" : "credentials_command";
	const char *program = store->credentials_command[0];
	size_t i;

	if (IS_SET("credentials_profile") && !IS_SET("credentials_file"))
		return FAIL("credentials_profile",
		    "store \"%s\": credentials_profile without credentials_file; add the file",
		    store->name);
	if (!IS_SET(here))
		return 0;
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (IS_SET(others[i]))
			return FAIL(others[i], "store \"%s\": %s and %s; one of them is enough",
			    store->name, here, others[i]);
	if (IS_SET("credentials_file") && IS_SET("credentials_command"))
		return FAIL("credentials_command",
		    "store \"%s\": credentials_file and credentials_command; one of them is enough",
		    store->name);
	if (!IS_SET("credentials_command"))
		return 0;
	if (*program != '/')
		return FAIL("credentials_command",
		    "store \"%s\": credentials_command begins with the absolute path of a program; "
		    "write {\"/PROGRAM\", \"ARGUMENT\"}",
		    store->name);
	if (access(program, X_OK) == -1)
		return FAIL("credentials_command", "store \"%s\": %s: %s; it must be executable",
		    store->name, program, strerror(errno));
	return 0;
}

/* Checks the host for virtual addressing, which puts the bucket in front: it is a name, and has no
 * bucket yet. */
static int
check_virtual(struct config_ctx *ctx, const struct config_store *store)
{
	const char *host = strstr(store->endpoint, "://") + 3, *cos = strstr(host, ".cos.");

	if (*host == '[' || host[strspn(host, "0123456789.:")] == '\0')
		return FAIL("endpoint",
		    "store \"%s\": an address cannot follow a bucket's name; give a host name, and "
		    "resolve if need be",
		    store->name);
	if (store->kind == STORE_COS && cos != NULL && strstr(cos, ".myqcloud.com") != NULL)
		return FAIL("endpoint",
		    "store \"%s\": the endpoint names a bucket; write \"%.*s%s\", since tasks name "
		    "the "
		    "bucket",
		    store->name, (int)(host - store->endpoint), store->endpoint, cos + 1);
	return 0;
}

static int
check_encryption(struct config_ctx *ctx, const struct config_store *store)
{
	enum store_encryption kind = store->encryption;
	bool cos = store->kind == STORE_COS, kms = kind > ENCRYPTION_AES256;

	if (kms && cos != (kind == ENCRYPTION_COS_KMS))
		return FAIL("encryption",
		    "store \"%s\": kind \"%s\" does not know encryption = \"%s\"; use \"AES256\" "
		    "or "
		    "\"%s\"",
		    store->name, store_kind_name(store->kind), store_encryption_name(kind),
		    cos ? "cos/kms" : "aws:kms");
	if (store->kms_key[0] != '\0' && !kms)
		return FAIL("kms_key",
		    "store \"%s\": kms_key without a key service; add encryption = \"%s\"",
		    store->name, cos ? "cos/kms" : "aws:kms");
	if (kms && store->verify == VERIFY_MD5)
		return FAIL("verify",
		    "store \"%s\": with encryption = \"%s\" no ETag is an MD5; use \"auto\" or, "
		    "where "
		    "the server knows it, \"crc32c\"",
		    store->name, store_encryption_name(kind));
	return 0;
}

static int
check_objects(struct config_ctx *ctx, struct config_store *store)
{
	bool cos = store->kind == STORE_COS;

	if (store->endpoint[0] == '\0')
		return FAIL("kind",
		    "store \"%s\": kind \"%s\" needs an endpoint; add endpoint = \"https://HOST\"",
		    store->name, store_kind_name(store->kind));
	if (cos && IS_SET("addressing") && store->addressing == ADDRESSING_PATH)
		return FAIL("addressing",
		    "store \"%s\": COS refuses path addressing; leave addressing out", store->name);
	if (cos)
		store->addressing = ADDRESSING_VIRTUAL;
	if (store->addressing == ADDRESSING_VIRTUAL && check_virtual(ctx, store) == -1)
		return -1;
	if (cos && store->verify == VERIFY_MD5)
		return FAIL("verify",
		    "store \"%s\": COS gives no MD5 of multipart objects; use \"auto\" or "
		    "\"crc64\"",
		    store->name);
	if (cos && store->verify == VERIFY_CRC32C)
		return FAIL("verify",
		    "store \"%s\": COS does not know CRC32C; use \"auto\" or \"crc64\"",
		    store->name);
	if (!cos && store->verify == VERIFY_CRC64)
		return FAIL("verify",
		    "store \"%s\": kind \"s3\" gives no CRC64; use \"auto\", \"md5\" or, where the "
		    "server knows it, \"crc32c\"",
		    store->name);
	if (check_encryption(ctx, store) == -1)
		return -1;
	if (store->ca_file[0] != '\0' && access(store->ca_file, R_OK) == -1)
		return FAIL("ca_file", "store \"%s\": %s: %s; it must exist and be readable",
		    store->name, store->ca_file, strerror(errno));
	/* Every signature of S3 holds a region.  Servers without regions take this one. */
	if (!cos && store->region[0] == '\0')
		strlcpy(store->region, "us-east-1", sizeof(store->region));
	return check_credentials(ctx, store) == -1 ? -1 : check_keypair(ctx, store);
}

int
config_check_store(struct config_ctx *ctx, struct config_store *store)
{
	if (!IS_SET("kind"))
		return config_fail(ctx, ctx->section_line,
		    "store \"%s\" has no kind; it is \"s3\", \"cos\" or \"file\"", store->name);
	if (check_keys(ctx, store) == -1)
		return -1;
	if (store->kind != STORE_FILE)
		return check_objects(ctx, store);
	if (store->root[0] == '\0')
		return FAIL("kind",
		    "store \"%s\": kind \"file\" needs a root; add root = \"/DIRECTORY\"",
		    store->name);
	if (store->verify == VERIFY_MD5 || store->verify == VERIFY_CRC32C)
		return FAIL("verify",
		    "store \"%s\": files have no %s to compare; use \"auto\" or \"crc64\"",
		    store->name, store->verify == VERIFY_MD5 ? "MD5" : "CRC32C");
	return 0;
}

/* The line of one of two keys that contradict each other.  The other may be a default. */
static int
either_line(const struct config_ctx *ctx, enum config_section section, const char *a, const char *b)
{
	int line = config_line(ctx, section, a);

	return line != 0 ? line : config_line(ctx, section, b);
}

static int
check_memory(struct config_ctx *ctx, const struct config_worker *worker)
{
	int64_t needed = config_memory_needed(worker->streams > 0 ? worker->streams : 1);
	char need[32], have[32];

	if (worker->memory >= needed)
		return 0;
	if (worker->streams == 0)
		return config_fail(ctx, config_line(ctx, SECTION_WORKER, "memory"),
		    "a single stream needs %s of memory and worker.memory is %s; raise memory to "
		    "that",
		    units_exact_size(need, sizeof(need), needed),
		    units_exact_size(have, sizeof(have), worker->memory));
	return config_fail(ctx, either_line(ctx, SECTION_WORKER, "memory", "streams"),
	    "%d streams need %s of memory and worker.memory is %s; raise memory to that or lower "
	    "streams",
	    worker->streams, units_exact_size(need, sizeof(need), needed),
	    units_exact_size(have, sizeof(have), worker->memory));
}

static int
check_memory_total(struct config_ctx *ctx, const struct config *conf)
{
	int64_t least = MASTER_MEMORY + conf->worker.memory;
	char need[32], have[32], each[32], own[32];

	if (conf->memory_total == 0 || conf->memory_total >= least)
		return 0;
	return config_fail(ctx, config_line(ctx, SECTION_TOP, "memory_total"),
	    "memory_total of %s holds no worker, since worker.memory is %s and ferryd itself "
	    "counts for %s; raise it to %s or lower worker.memory",
	    units_exact_size(have, sizeof(have), conf->memory_total),
	    units_exact_size(each, sizeof(each), conf->worker.memory),
	    units_exact_size(own, sizeof(own), MASTER_MEMORY),
	    units_exact_size(need, sizeof(need), least));
}

int
config_check_all(struct config_ctx *ctx)
{
	const struct config_worker *worker = &ctx->conf->worker;

	if (worker->database[0] == '\0')
		return config_fail(ctx, 0,
		    "database is not set; add database = \"host=/run/postgresql dbname=ferry\"");
	if (check_memory(ctx, worker) == -1 || check_memory_total(ctx, ctx->conf) == -1)
		return -1;
	if (worker->retry_delay_ms > worker->retry_delay_max_ms)
		return config_fail(ctx,
		    either_line(ctx, SECTION_TOP, "retry_delay", "retry_delay_max"),
		    "retry_delay is longer than retry_delay_max; lower the one or raise the other");
	if (worker->connect_timeout_ms > worker->stall_timeout_ms)
		return config_fail(ctx,
		    either_line(ctx, SECTION_WORKER, "connect_timeout", "stall_timeout"),
		    "connect_timeout is longer than stall_timeout; lower the one or raise the "
		    "other");
	return 0;
}
