/*
 * Reads keys from files and the environment.  A file that others may read is refused.  Errors name
 * the file or the variable, never its content.
 */
#include "common/config/private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/memory.h"
#include "common/base/text.h"

static int fail(struct config_why *why, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int
fail(struct config_why *why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why->text, sizeof(why->text), fmt, ap);
	va_end(ap);
	return -1;
}

/* Opens path and checks its mode.  Returns the descriptor, or -1 with why. */
static int
open_secret(const char *path, struct config_why *why)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd == -1 || fstat(fd, &st) == -1) {
		fail(why, "%s: %s; it must exist and be readable by the daemon", path,
		    strerror(errno));
	} else if (!S_ISREG(st.st_mode)) {
		fail(why, "%s is not a file; secrets stand in a file", path);
	} else if ((st.st_mode & 0007) != 0) {
		fail(why, "%s is open to everybody (mode %04o); chmod o= %s", path,
		    (unsigned)(st.st_mode & 07777), path);
	} else {
		return fd;
	}
	if (fd != -1)
		close(fd);
	return -1;
}

/* Reads up to size bytes of path.  Returns how many, or -1 with why. */
static ssize_t
read_file(const char *path, char *buf, size_t size, struct config_why *why)
{
	size_t len = 0;
	ssize_t n = 0;
	int fd = open_secret(path, why);

	if (fd == -1)
		return -1;
	while (len < size && (n = read(fd, buf + len, size - len)) > 0)
		len += (size_t)n;
	if (n == -1)
		fail(why, "%s: %s; it must be readable by the daemon", path, strerror(errno));
	close(fd);
	return n == -1 ? -1 : (ssize_t)len;
}

/* Reads a file that holds one secret on its only line. */
static int
read_secret(const char *path, char *out, size_t size, struct config_why *why)
{
	char buf[CONFIG_TOKEN_MAX + 3];
	const char *fault = NULL;
	ssize_t len = read_file(path, buf, sizeof(buf), why);

	if (len == -1)
		return -1;
	if (len > 0 && buf[len - 1] == '\n')
		len--;
	if (len > 0 && buf[len - 1] == '\r')
		len--;
	if ((fault = config_text_secret(buf, (size_t)len, size)) != NULL) {
		fail(why, "%s %s", path, fault);
	} else {
		memset(out, 0, size);
		memcpy(out, buf, (size_t)len);
	}
	explicit_bzero(buf, sizeof(buf));
	return fault == NULL ? 0 : -1;
}

static int
parse_credentials(const struct config_store *store, char *text, size_t len, struct store_keys *keys,
    struct config_why *why)
{
	const char *path = store->credentials_file, *profile = store->credentials_profile;
	struct config_why wrong;
	int line;

	if (len > CONFIG_CREDENTIALS_MAX)
		return fail(why, "%s has more than %d KiB; it is no credentials file", path,
		    CONFIG_CREDENTIALS_MAX >> 10);
	if (strlen(text) != len)
		return fail(why, "%s holds a NUL; it is a text", path);
	memset(keys, 0, sizeof(*keys));
	if (config_credentials_parse(
		text, profile[0] != '\0' ? profile : "default", keys, &line, &wrong) == 0)
		return 0;
	if (line == 0)
		return fail(why, "%s %s", path, wrong.text);
	return fail(why, "%s:%d: %s", path, line, wrong.text);
}

static int
read_credentials(const struct config_store *store, struct store_keys *keys, struct config_why *why)
{
	size_t size = CONFIG_CREDENTIALS_MAX + 2;
	char *text = memory_alloc(size);
	ssize_t len = read_file(store->credentials_file, text, size - 1, why);
	int rc = -1;

	if (len != -1)
		rc = parse_credentials(store, text, (size_t)len, keys, why);
	freezero(text, size);
	return rc;
}

/* Reads what comes from files.  *key is the key of the configuration whose file is at fault. */
static int
read_files(const struct config_store *store, struct store_keys *keys, const char **key,
    struct config_why *why)
{
	const struct {
		const char *key, *path;
		char *out;
		size_t size;
	} files[] = {
		{ "access_key_file", store->access_key_file, keys->access_key,
		    sizeof(keys->access_key) },
		{ "secret_key_file", store->secret_key_file, keys->secret_key,
		    sizeof(keys->secret_key) },
		{ "session_token_file", store->session_token_file, keys->session_token,
		    sizeof(keys->session_token) },
	};
	size_t i;

	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		*key = files[i].key;
		if (files[i].path[0] != '\0' &&
		    read_secret(files[i].path, files[i].out, files[i].size, why) == -1)
			return -1;
	}
	*key = "credentials_file";
	return store->credentials_file[0] != '\0' ? read_credentials(store, keys, why) : 0;
}

int
config_read_keys(
    const struct config_store *store, struct store_keys *keys, char *why, size_t why_size)
{
	struct config_why wrong;
	const char *key;

	config_get_keys(store, keys);
	if (read_files(store, keys, &key, &wrong) == 0)
		return 0;
	explicit_bzero(keys, sizeof(*keys));
	text_mask_controls(wrong.text);
	strlcpy(why, wrong.text, why_size);
	return -1;
}

static int
read_variable(struct config_ctx *ctx, int line, const char *name, char *out, size_t size)
{
	const char *value = getenv(name), *fault;

	if (value == NULL)
		return config_fail(ctx, line,
		    "secret_key_env: %s is not in the environment; set it or use secret_key_file",
		    name);
	if ((fault = config_text_secret(value, strlen(value), size)) != NULL)
		return config_fail(ctx, line, "secret_key_env: %s %s", name, fault);
	strlcpy(out, value, size);
	return 0;
}

int
config_secret_load(struct config_ctx *ctx, struct config_store *store)
{
	struct store_keys keys;
	struct config_why why;
	const char *key;
	int rc;

	config_get_keys(store, &keys);
	rc = read_files(store, &keys, &key, &why);
	if (rc == 0)
		config_set_keys(store, &keys);
	else
		config_fail(ctx, config_line(ctx, SECTION_STORE, key), "%s", why.text);
	explicit_bzero(&keys, sizeof(keys));
	if (rc == 0 && store->secret_key_env[0] != '\0')
		rc = read_variable(ctx, config_line(ctx, SECTION_STORE, "secret_key_env"),
		    store->secret_key_env, store->secret_key, sizeof(store->secret_key));
	return rc;
}

int
config_secret_load_token(struct config_ctx *ctx)
{
	struct config *conf = ctx->conf;
	struct config_why why;

	if (conf->metrics_token_file[0] == '\0')
		return 0;
	if (conf->metrics_listen[0] == '\0')
		return config_fail(ctx, config_line(ctx, SECTION_METRICS, "token_file"),
		    "token_file without listen; add listen = \"127.0.0.1:9788\" or remove it");
	if (read_secret(conf->metrics_token_file, conf->metrics_token, sizeof(conf->metrics_token),
		&why) == -1)
		return config_fail(
		    ctx, config_line(ctx, SECTION_METRICS, "token_file"), "%s", why.text);
	return 0;
}
