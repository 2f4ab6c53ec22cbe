/*
 * hog.so, which preload_exec loads into a worker.  When the worker has received HOG_AFTER bytes
 * over sockets, and this library could change the first byte of the file HOG_TRIGGER from '1' to
 * '0', it allocates memory without end, as a leak does; so each '1' has one victim.  The file is
 * mapped before the worker confines itself.  Under a memory cgroup the kernel kills
 * the worker.  Under a limit of the data segment, nothing is left for the worker's next allocation,
 * not even memory that the worker frees later.  A request that contains HOG_MARK does the same each
 * time; one that contains CRASH_MARK makes the worker crash, one that contains WILD_MARK makes it
 * read from address 16.  With PLATEAU, the leak stops at so many bytes and goes on when the byte
 * is '1' again.  With CHILD, the worker has a child in a session of its own.
 * fsync() takes SYNC_MS.
 */
#include <sys/types.h>
#include <sys/socket.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void
hog_everything(void)
{
	static const size_t sizes[] = { 1 << 20, 1 << 16, 4096, 256, 32 };
	const char *ms = getenv("LEAK_MS");
	size_t i;
	char *p;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		while ((p = malloc(sizes[i])) != NULL) {
			memset(p, 0x5a, sizes[i]);
			if (ms != NULL && i == 0)
				usleep((useconds_t)strtoul(ms, NULL, 10) * 1000);
		}
	}
}

/* Returns whether the leak stops here. */
static int
has_plateau(void)
{
	static char *kept; /* else the compiler leaves the allocation out */
	const char *plateau = getenv("PLATEAU");
	size_t size = plateau != NULL ? strtoul(plateau, NULL, 10) : 0;

	if (plateau == NULL || kept != NULL)
		return 0;
	kept = malloc(size);
	if (kept != NULL)
		memset(kept, 0x5a, size);
	__asm__ volatile("" : : "r"(kept) : "memory");
	return 1;
}

static char *trigger;

__attribute__((constructor)) static void
map_trigger(void)
{
	const char *path = getenv("HOG_TRIGGER");
	int fd = path != NULL ? open(path, O_RDWR) : -1;
	void *p = fd != -1 ? mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;

	if (fd != -1)
		close(fd);
	trigger = p != MAP_FAILED ? p : NULL;
}

static int
pull_trigger(void)
{
	return trigger != NULL && __sync_bool_compare_and_swap(trigger, '1', '0');
}

__attribute__((constructor)) static void
make_child(void)
{
	if (getenv("CHILD") == NULL || fork() != 0)
		return;
	setsid();
	for (;;)
		pause();
}

static void
hog_count(ssize_t bytes)
{
	static long long received;
	static int leaks;
	const char *after = getenv("HOG_AFTER");

	if (bytes <= 0 || after == NULL)
		return;
	received += bytes;
	if (received < strtoll(after, NULL, 10))
		return;
	leaks = leaks || pull_trigger();
	if (leaks && has_plateau())
		leaks = 0;
	else if (leaks)
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

static char *volatile wild = (char *)16;

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
	if (is_marked("WILD_MARK", buf, len))
		*(volatile int *)wild = 0;
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
