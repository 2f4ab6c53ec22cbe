/*
 * instant: a worker that carries nothing.  It speaks the channel as ferry-worker does and reports
 * each task as done at once, so that a benchmark measures the master and its database alone: claim,
 * hand out, settle.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/channel.h"

#define CHANNEL_FD 3

static struct msg out;

static void
say(enum msg_type type)
{
	struct pollfd pfd = { .fd = CHANNEL_FD, .events = POLLOUT };

	out.type = (int)type;
	while (channel_send(CHANNEL_FD, &out, -1) == -1) {
		if (errno != EAGAIN && errno != EINTR)
			exit(0);
		poll(&pfd, 1, -1);
	}
}

static void
carry(const struct task *task)
{
	memset(&out.result, 0, sizeof(out.result));
	out.result.task = task->id;
	out.result.claim = task->claim;
	out.result.result = TASK_DONE;
	out.result.bytes = out.result.bytes_total = 1;
	out.result.crc64 = 1;
	strlcpy(out.result.verified_by, "none", sizeof(out.result.verified_by));
	out.result.ready = 1;
	say(MSG_RESULT);
}

int
main(int argc, char **argv)
{
	struct pollfd pfd = { .fd = CHANNEL_FD, .events = POLLIN };
	static struct msg in;
	int fd, got;

	if (argc != 4)
		return 64; /* EX_USAGE */
	out.slot = (int)strtol(argv[1], NULL, 10);
	out.generation = strtoull(argv[2], NULL, 10);
	say(MSG_READY);
	for (;;) {
		got = channel_recv(CHANNEL_FD, &in, &fd);
		if (fd >= 0)
			close(fd);
		if (got == -1 && (errno == EAGAIN || errno == EINTR))
			poll(&pfd, 1, -1);
		else if (got == 0 || (got == 1 && (in.type == MSG_RETIRE || in.type == MSG_STOP)))
			return 0;
		else if (got == 1 && in.type == MSG_TASK)
			carry(&in.task.task);
		else if (got == 1 && in.type == MSG_REAP)
			say(MSG_READY);
		else if (got == -1 && errno != EBADMSG)
			return 0;
	}
}
