/*
 * Messages to a worker that does not read.  They are kept in their order until it reads, or until
 * it counts as hung.
 */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "master/pool/pool.h"
#include "master/pool/outbox.h"
#include "tests/unit/tap.h"

#define MANY 200

static struct state state;
static struct pool pool = { .state = &state };
static struct config conf;

static int
count(const struct slot *slot)
{
	const struct outgoing *out;
	int n = 0;

	TAILQ_FOREACH (out, &slot->outbox, entry)
		n++;
	return n;
}

static void
send_numbered(struct slot *slot, int64_t number)
{
	struct msg msg = { .type = MSG_TASK };

	msg.task.task.id = number;
	outbox_send(slot, &msg, -1);
}

/* Reads all messages that have come, counting in *next.  Returns whether they came in order. */
static bool
read_all(int fd, int64_t *next)
{
	static struct msg msg;
	int passed;

	while (recv(fd, &(char){ 0 }, 1, MSG_PEEK | MSG_DONTWAIT) > 0) {
		if (channel_recv(fd, &msg, &passed) != 1 || msg.slot != 1 || msg.generation != 9 ||
		    msg.task.task.id != *next)
			return false;
		++*next;
	}
	return true;
}

static void
test_order(struct slot *slot, int worker)
{
	int64_t next = 0;
	int i;
	bool right = true;

	for (i = 0; i < MANY; i++)
		send_numbered(slot, i);
	ok(count(slot) > 0 && count(slot) < MANY,
	    "messages that the socket does not take are kept");
	while (right && next < MANY) {
		right = read_all(worker, &next);
		outbox_flush(slot);
	}
	ok(right, "all messages arrive in order, with slot and generation");
	is_int(count(slot), 0, "no message is left");
}

static void
test_descriptor(struct slot *slot, int worker)
{
	static struct msg msg;
	int64_t next = 0;
	int i, passed = -1, type = 0, pipes[2];
	char c = 0;

	if (pipe(pipes) == -1)
		abort();
	for (i = 0; i < MANY; i++)
		send_numbered(slot, i);
	msg.type = MSG_LOG;
	outbox_send(slot, &msg, pipes[1]);
	close(pipes[1]); /* the waiting message has a copy of its own */
	while (next < MANY && recv(worker, &c, 1, MSG_PEEK | MSG_DONTWAIT) > 0) {
		if (channel_recv(worker, &msg, &passed) == 1 && msg.type == MSG_TASK)
			next++;
		outbox_flush(slot);
	}
	outbox_flush(slot);
	if (channel_recv(worker, &msg, &passed) == 1)
		type = msg.type;
	is_int(type, MSG_LOG, "a message with a descriptor waits its turn");
	ok(passed != -1 && write(passed, "x", 1) == 1 && read(pipes[0], &c, 1) == 1 && c == 'x',
	    "the descriptor arrives with it");
	close(passed);
	is_int(read(pipes[0], &c, 1), 0, "no copy of the descriptor is left here");
	close(pipes[0]);
}

static void
test_hung(struct slot *slot)
{
	int i;

	for (i = 0; i < MANY; i++)
		send_numbered(slot, i);
	slot->state = SLOT_IDLE;
	slot->silence_ms = 1000;
	is_int(pool_deadline(&pool), TAILQ_FIRST(&slot->outbox)->since + 1000,
	    "a worker that does not read is hung in time");
	outbox_discard(slot);
	is_int(count(slot), 0, "waiting messages can be dropped");
	is_int(pool_deadline(&pool), 0, "without waiting messages the worker is not hung");
}

int
main(void)
{
	struct slot *slot = &pool.slots[0];
	int pair[2], small = 4096;

	state.conf = &conf;
	state.phase = PHASE_RUNNING;
	pool_init(&pool);
	if (channel_pair(pair) == -1)
		abort();
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	slot->channel = pair[0];
	slot->generation = 9;
	slot->pid = getpid();
	test_order(slot, pair[1]);
	test_descriptor(slot, pair[1]);
	test_hung(slot);
	close(pair[0]);
	close(pair[1]);
	return done_testing();
}
