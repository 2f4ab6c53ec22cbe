#include "master/pool/outbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "master/pool/slot.h"

/*
 * Returns false if the worker does not read: then the message has to wait.  After any other failure
 * the worker is of no use and is killed.  If it is dead already, its end is judged soon.
 */
static bool
try_send(struct slot *slot, struct msg *msg, int fd)
{
	if (channel_send(slot->channel, msg, fd) == 0 || errno == EPIPE || errno == ECONNRESET)
		return true;
	if (errno == EAGAIN)
		return false;
	log_error("worker %d (pid %d) cannot be sent %s: %s; killed", slot->number, (int)slot->pid,
	    msg_type_name(msg->type), strerror(errno));
	slot_kill(slot, "it could not be sent a message");
	return true;
}

static void
keep(struct slot *slot, const struct msg *msg, int fd)
{
	struct outgoing *out = malloc(sizeof(*out));

	if (out != NULL)
		out->fd = fd == -1 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (out == NULL || (fd != -1 && out->fd == -1)) {
		log_error("worker %d (pid %d) cannot be sent %s: %s; killed", slot->number,
		    (int)slot->pid, msg_type_name(msg->type), strerror(errno));
		free(out);
		slot_kill(slot, "it could not be sent a message");
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
outbox_send(struct slot *slot, struct msg *msg, int fd)
{
	if (slot->channel == -1)
		return;
	msg->slot = slot->number;
	msg->generation = slot->generation;
	if (!TAILQ_EMPTY(&slot->outbox) || !try_send(slot, msg, fd))
		keep(slot, msg, fd);
}

void
outbox_send_type(struct slot *slot, enum msg_type type)
{
	struct msg msg = { .type = type };

	outbox_send(slot, &msg, -1);
}

void
outbox_flush(struct slot *slot)
{
	struct outgoing *out;

	while (slot->channel != -1 && (out = TAILQ_FIRST(&slot->outbox)) != NULL &&
	       try_send(slot, &out->msg, out->fd))
		drop_first(slot);
}

void
outbox_discard(struct slot *slot)
{
	while (!TAILQ_EMPTY(&slot->outbox))
		drop_first(slot);
}
