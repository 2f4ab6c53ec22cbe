#include "worker/base/memory.h"

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

#include "common/base/log.h"
#include "common/channel.h"

/* Bytes.  Resolving a name needs about 50 KiB of stack. */
#define THREAD_STACK (256 << 10)

/* The heap grows by so many bytes more than are asked for, at most. */
#define HEAP_STEP (1 << 20)

#define STATM_DATA 6 /* number of the field with data and stacks, in pages */

/* Freed bytes that stay in the heap.  Fresh pages from the kernel would cost more than the copies.
 */
#define HEAP_KEPT (32 << 20)

/* Bytes that RLIMIT_DATA counts, or a few more; -1: unknown.  proc_pid_statm(5) */
static int64_t
data_size(void)
{
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC), field;
	char text[128], *at = text;
	ssize_t n = fd == -1 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd != -1)
		close(fd);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	for (field = 1; field < STATM_DATA && (at = strchr(at, ' ')) != NULL; field++)
		at++;
	return at == NULL ? -1 : strtoll(at, NULL, 10) * sysconf(_SC_PAGESIZE);
}

/* Whether our own limit is the reason for which size bytes were refused, as far as we can know. */
static int
exit_code(size_t size)
{
	struct rlimit limit;
	int64_t used;

	if (getrlimit(RLIMIT_DATA, &limit) == -1 || limit.rlim_cur == RLIM_INFINITY)
		return WORKER_EXIT_REFUSED;
	used = data_size();
	return used == -1 || size >= limit.rlim_cur ||
		       (uint64_t)used + size + HEAP_STEP >= limit.rlim_cur
		   ? WORKER_EXIT_MEMORY
		   : WORKER_EXIT_REFUSED;
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

static void *
crypto_malloc(size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	return size == 0 ? NULL : memory_buffer(size);
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

	memory_set_exit_code(exit_code);
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_MMAP_THRESHOLD, HEAP_KEPT);
	mallopt(M_TRIM_THRESHOLD, HEAP_KEPT);
	if (pthread_attr_init(&attr) == 0) {
		pthread_attr_setstacksize(&attr, THREAD_STACK);
		pthread_setattr_default_np(&attr);
		pthread_attr_destroy(&attr);
	}
	if (CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free) != 1)
		log_warn("libcrypto keeps its own allocator");
	if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, memory_buffer, free, realloc_or_die,
		memory_strdup, calloc_or_die) != CURLE_OK)
		fatal(EX_SOFTWARE, "libcurl does not start");
}

/* The file stays open, because it is read after each task. */
static int
open_peak(const char *path)
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
	int fd = open_peak(peak_file);
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
