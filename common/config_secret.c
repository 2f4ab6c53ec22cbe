/*
 * Secrets: read from files or the environment, trimmed, and refused where others could read them
 * too.  Errors name the file or the variable, never what is in it.
 */
#include "common/config_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Why the secret in buf cannot be used, or NULL. */
static const char *
find_fault(const char *buf, size_t len, size_t size)
{
	size_t i;

	if (len == 0)
		return "is empty; the secret goes on its first line";
	if (len >= size)
		return "is too long for a secret; the secret alone goes into it";
	for (i = 0; i < len; i++)
		if ((unsigned char)buf[i] < 0x20 || buf[i] == 0x7f)
			return "holds control characters or a second line; the secret alone goes "
			       "into it";
	return NULL;
}

/* Opens path and looks at who may read it.  Returns the descriptor, or -1 after config_fail(). */
static int
open_secret(struct config_ctx *ctx, int line, const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd == -1 || fstat(fd, &st) == -1) {
		config_fail(ctx, line, "%s: %s; it must exist and be readable by the daemon", path,
		    strerror(errno));
	} else if (!S_ISREG(st.st_mode)) {
		config_fail(ctx, line, "%s is not a file; the secret goes on its first line", path);
	} else if ((st.st_mode & 0007) != 0) {
		config_fail(ctx, line, "%s is open to everybody (mode %04o); chmod o= %s", path,
		    (unsigned)(st.st_mode & 07777), path);
	} else {
		return fd;
	}
	if (fd != -1)
		close(fd);
	return -1;
}

static int
read_secret(struct config_ctx *ctx, int line, const char *path, char *out, size_t size)
{
	char buf[CONFIG_TOKEN_MAX + 3];
	const char *fault = NULL;
	size_t len = 0;
	ssize_t n = 0;
	int fd = open_secret(ctx, line, path);

	if (fd == -1)
		return -1;
	while (len < sizeof(buf) && (n = read(fd, buf + len, sizeof(buf) - len)) > 0)
		len += (size_t)n;
	if (n == -1)
		config_fail(
		    ctx, line, "%s: %s; it must be readable by the daemon", path, strerror(errno));
	close(fd);
	if (len > 0 && buf[len - 1] == '\n')
		len--;
	if (len > 0 && buf[len - 1] == '\r')
		len--;
	if (n != -1 && (fault = find_fault(buf, len, size)) != NULL)
		config_fail(ctx, line, "%s %s", path, fault);
	if (n != -1 && fault == NULL) {
		memcpy(out, buf, len);
		out[len] = '\0';
	}
	explicit_bzero(buf, sizeof(buf));
	return n != -1 && fault == NULL ? 0 : -1;
}

static int
read_variable(struct config_ctx *ctx, int line, const char *name, char *out, size_t size)
{
	const char *value = getenv(name), *fault;

	if (value == NULL)
		return config_fail(ctx, line,
		    "secret_key_env: %s is not in the environment; set it or use secret_key_file",
		    name);
	if ((fault = find_fault(value, strlen(value), size)) != NULL)
		return config_fail(ctx, line, "secret_key_env: %s %s", name, fault);
	strlcpy(out, value, size);
	return 0;
}

int
config_secret_load(struct config_ctx *ctx, struct config_store *store)
{
	const struct {
		const char *key, *path;
		char *out;
		size_t size;
	} files[] = {
	    {"access_key_file", store->access_key_file, store->access_key,
		sizeof(store->access_key)},
	    {"secret_key_file", store->secret_key_file, store->secret_key,
		sizeof(store->secret_key)},
	    {"session_token_file", store->session_token_file, store->session_token,
		sizeof(store->session_token)},
	};
	size_t i;

	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (files[i].path[0] != '\0' &&
		    read_secret(ctx, config_line(ctx, SECTION_STORE, files[i].key), files[i].path,
			files[i].out, files[i].size) == -1)
			return -1;
	if (store->secret_key_env[0] != '\0' &&
	    read_variable(ctx, config_line(ctx, SECTION_STORE, "secret_key_env"),
		store->secret_key_env, store->secret_key, sizeof(store->secret_key)) == -1)
		return -1;
	return 0;
}
