/*
 * late.so: makes a process sleep after each send, for longer than the answer takes.  So the answer
 * is there before the process calls poll().
 */
#include <dlfcn.h>
#include <stddef.h>
#include <sys/socket.h>
#include <time.h>

typedef ssize_t send_function(int, const void *, size_t, int);

ssize_t
send(int fd, const void *buf, size_t len, int flags)
{
	const struct timespec lost = { .tv_nsec = 5 * 1000 * 1000 };
	static send_function *next;
	ssize_t n;

	if (next == NULL)
		*(void **)&next = dlsym(RTLD_NEXT, "send");
	n = next(fd, buf, len, flags);
	nanosleep(&lost, NULL);
	return n;
}
