/*
 * Owns the slots' outboxes.
 */
#include "master/post.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "master/pool.h"

/*
 * Returns false if it has to wait.  A worker that a message cannot reach for any other reason is of no use; its death says
 * the rest.
 */
static bool
try_send(struct slot *slot, struct msg *msg, int fd)
{
	if (channel_send(slot->channel, msg, fd) == 0 || errno == EPIPE || errno == ECONNRESET)
		return true;
	if (errno == EAGAIN)
		return false;
	log_error("worker %d (pid %d) cannot be sent %s: %s; killed", slot->number, (int)slot->pid, msg_type_name(msg->type),
	    strerror(errno));
	pool_kill(slot);
	return true;
}

static void
keep(struct slot *slot, const struct msg *msg, int fd)
{
	struct outgoing *out = malloc(sizeof(*out));

	if (out != NULL)
		out->fd = fd == -1 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (out == NULL || (fd != -1 && out->fd == -1)) {
		log_error("worker %d (pid %d) cannot be sent %s: %s; killed", slot->number, (int)slot->pid,
		    msg_type_name(msg->type), strerror(errno));
		free(out);
		pool_kill(slot);
		return;
	}
	out->msg = *msg;
	out->since = clock_ms();
	TAILQ_INSERT_TAIL(&slot->outbox, out, entry);
}

static void
drop_first(struct slot *slot)
{
	struct outgoing *out = TAILQ_FIRST(&slot->outbox);

	TAILQ_REMOVE(&slot->outbox, out, entry);
	if (out->fd != -1)
		close(out->fd);
	freezero(out, sizeof(*out)); /* STORE holds secrets */
}

void
post_send(struct slot *slot, struct msg *msg, int fd)
{
	if (slot->channel == -1)
		return;
	msg->slot = slot->number;
	msg->generation = slot->generation;
	if (!TAILQ_EMPTY(&slot->outbox) || !try_send(slot, msg, fd))
		keep(slot, msg, fd);
}

void
post_simple(struct slot *slot, enum msg_type type)
{
	struct msg msg = { .type = type };

	post_send(slot, &msg, -1);
}

void
post_flush(struct slot *slot)
{
	struct outgoing *out;

	while (slot->channel != -1 && (out = TAILQ_FIRST(&slot->outbox)) != NULL && try_send(slot, &out->msg, out->fd))
		drop_first(slot);
}

void
post_discard(struct slot *slot)
{
	while (!TAILQ_EMPTY(&slot->outbox))
		drop_first(slot);
}
