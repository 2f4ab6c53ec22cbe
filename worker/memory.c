/*
 * Allocation and its end.
 */
#include <curl/curl.h>
#include <fcntl.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/channel.h"
#include "common/log.h"
#include "worker/memory.h"

/* name resolution needs some 50 KiB of it */
#define MEMORY_THREAD_STACK (256 << 10)
#define MEMORY_KEPT (32 << 20) /* buffers go back to the heap, not to the kernel: fresh pages cost more than the copies */

void
memory_exhausted(size_t size)
{
	log_error("out of memory: %zu bytes could not be had", size);
	_exit(WORKER_EXIT_MEMORY);
}

static void *
malloc_or_die(size_t size)
{
	void *p = malloc(size);

	if (p == NULL && size > 0)
		memory_exhausted(size);
	return p;
}

static void *
realloc_or_die(void *old, size_t size)
{
	void *p = realloc(old, size);

	if (p == NULL && size > 0)
		memory_exhausted(size);
	return p;
}

static void *
calloc_or_die(size_t n, size_t size)
{
	void *p = calloc(n, size);

	if (p == NULL && n > 0 && size > 0)
		memory_exhausted(n * size);
	return p;
}

static char *
strdup_or_die(const char *s)
{
	char *p = strdup(s);

	if (p == NULL)
		memory_exhausted(strlen(s) + 1);
	return p;
}

static void *
crypto_malloc(size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	return size == 0 ? NULL : malloc_or_die(size);
}

static void *
crypto_realloc(void *old, size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	if (size == 0) {
		free(old);
		return NULL;
	}
	return realloc_or_die(old, size);
}

static void
crypto_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	free(p);
}

void
memory_init(void)
{
	pthread_attr_t attr;

	mallopt(M_ARENA_MAX, 1);
	mallopt(M_MMAP_THRESHOLD, MEMORY_KEPT);
	mallopt(M_TRIM_THRESHOLD, MEMORY_KEPT);
	if (pthread_attr_init(&attr) == 0) {
		pthread_attr_setstacksize(&attr, MEMORY_THREAD_STACK);
		pthread_setattr_default_np(&attr);
		pthread_attr_destroy(&attr);
	}
	if (CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free) != 1)
		log_warn("libcrypto keeps its own allocator");
	if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc_or_die, free, realloc_or_die, strdup_or_die,
		calloc_or_die) != CURLE_OK)
		fatal(EX_SOFTWARE, "libcurl does not start");
}

void *
memory_alloc(size_t size)
{
	return calloc_or_die(1, size > 0 ? size : 1);
}

void *
memory_buffer(size_t size)
{
	return malloc_or_die(size);
}

char *
memory_strdup(const char *s)
{
	return strdup_or_die(s);
}

void
memory_free(void *p)
{
	free(p);
}

/* Our own cgroup's file stays open: it is read after each task. */
static int
memory_open_peak(const char *path)
{
	static char *opened;
	static int fd = -1;

	if (opened != NULL && strcmp(opened, path) == 0)
		return fd;
	if (fd != -1)
		close(fd);
	memory_free(opened);
	opened = memory_strdup(path);
	fd = path[0] != '\0' ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	return fd;
}

int64_t
memory_peak(const char *peak_file)
{
	int fd = memory_open_peak(peak_file);
	struct rusage usage;
	char buf[32];
	ssize_t n;

	if (fd != -1 && (n = pread(fd, buf, sizeof(buf) - 1, 0)) > 0) {
		buf[n] = '\0';
		return strtoll(buf, NULL, 10);
	}
	if (getrusage(RUSAGE_SELF, &usage) == -1)
		return 0;
	return (int64_t)usage.ru_maxrss * 1024;
}
