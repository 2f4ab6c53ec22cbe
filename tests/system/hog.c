/*
 * Loaded into a worker by preload_exec: once HOG_AFTER bytes have been received over sockets and the file HOG_TRIGGER could be removed
 * (so once for each file), it allocates without end, as a leak would.  Under a memory cgroup the kernel ends that; under a
 * limit of the data segment nothing is left for the worker's own next allocation, nor is what it frees from then on.  It does so each time, too, that it sends a request
 * with HOG_MARK in it, and ends by a fault of memory for one with CRASH_MARK.  A file is on disk after SYNC_MS.
 */
#include <sys/types.h>
#include <sys/socket.h>

#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void
hog_everything(void)
{
	static const size_t sizes[] = { 1 << 20, 1 << 16, 4096, 256, 32 };
	size_t i;
	char *p;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		while ((p = malloc(sizes[i])) != NULL)
			memset(p, 0x5a, sizes[i]);
	}
}

static void
hog_count(ssize_t bytes)
{
	static long long received;
	static int leaks;
	const char *after = getenv("HOG_AFTER"), *trigger = getenv("HOG_TRIGGER");

	if (bytes <= 0 || after == NULL || trigger == NULL)
		return;
	received += bytes;
	leaks = leaks || (received >= strtoll(after, NULL, 10) && unlink(trigger) == 0);
	if (leaks)
		hog_everything();
}

ssize_t
recv(int fd, void *buf, size_t len, int flags)
{
	static ssize_t (*next)(int, void *, size_t, int);
	ssize_t n;

	if (next == NULL)
		*(void **)&next = dlsym(RTLD_NEXT, "recv");
	n = next(fd, buf, len, flags);
	hog_count(n);
	return n;
}

static int
is_marked(const char *variable, const void *buf, size_t len)
{
	const char *mark = getenv(variable);

	return mark != NULL && memmem(buf, len, mark, strlen(mark)) != NULL;
}

ssize_t
send(int fd, const void *buf, size_t len, int flags)
{
	static ssize_t (*next)(int, const void *, size_t, int);

	if (next == NULL)
		*(void **)&next = dlsym(RTLD_NEXT, "send");
	if (is_marked("HOG_MARK", buf, len))
		hog_everything();
	if (is_marked("CRASH_MARK", buf, len))
		raise(SIGSEGV);
	return next(fd, buf, len, flags);
}

int
fsync(int fd)
{
	const char *ms = getenv("SYNC_MS");

	if (ms != NULL)
		usleep((useconds_t)strtoul(ms, NULL, 10) * 1000);
	return fdatasync(fd);
}
