/*
 * intruder.so, which preload_exec loads into a worker or the exporter.  When the process sends
 * something with INTRUDER_MARK in it, it does what an intruder would: the system call INTRUDER_CALL
 * with arguments that do no harm, or, with INTRUDER_WRITE, writing that text to each file that
 * "PROGRAM.paths" names.
 */
#include <sys/types.h>
#include <sys/socket.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static void
write_everywhere(const char *text)
{
	char path[4096];
	FILE *list = fopen(getenv("INTRUDER_PATHS"), "re");
	int fd;

	while (list != NULL && fgets(path, sizeof(path), list) != NULL) {
		path[strcspn(path, "\n")] = '\0';
		fd = open(path, O_WRONLY | O_CREAT, 0644);
		if (fd == -1)
			continue;
		if (write(fd, text, strlen(text)) == -1)
			perror(path);
		close(fd);
	}
	if (list != NULL)
		fclose(list);
}

static void
intrude_if_marked(const void *buf, size_t len)
{
	const char *mark = getenv("INTRUDER_MARK"), *call = getenv("INTRUDER_CALL"),
		   *text = getenv("INTRUDER_WRITE");

	if (mark == NULL || memmem(buf, len, mark, strlen(mark)) == NULL)
		return;
	if (call != NULL)
		syscall(strtol(call, NULL, 10), 0, 0, 0, 0, 0, 0);
	if (text != NULL)
		write_everywhere(text);
}

ssize_t
send(int fd, const void *buf, size_t len, int flags)
{
	static ssize_t (*next)(int, const void *, size_t, int);

	if (next == NULL)
		*(void **)&next = dlsym(RTLD_NEXT, "send");
	intrude_if_marked(buf, len);
	return next(fd, buf, len, flags);
}

ssize_t
sendmsg(int fd, const struct msghdr *msg, int flags)
{
	static ssize_t (*next)(int, const struct msghdr *, int);
	size_t i;

	if (next == NULL)
		*(void **)&next = dlsym(RTLD_NEXT, "sendmsg");
	for (i = 0; i < msg->msg_iovlen; i++)
		intrude_if_marked(msg->msg_iov[i].iov_base, msg->msg_iov[i].iov_len);
	return next(fd, msg, flags);
}
