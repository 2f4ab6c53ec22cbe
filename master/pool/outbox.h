/*
 * Messages to a worker.  A message goes out at once if the worker reads, else it waits here.
 */
#ifndef MASTER_POOL_OUTBOX_H
#define MASTER_POOL_OUTBOX_H

#include <stdint.h>
#include <sys/queue.h>

#include "common/channel.h"

struct slot;

/* A message that waits. */
struct outgoing {
	TAILQ_ENTRY(outgoing) entry;
	int fd; /* a copy of the descriptor that goes along; -1: none */
	int64_t since;
	struct msg msg;
};
TAILQ_HEAD(outbox, outgoing);

/*
 * Sends msg with the slot's number and generation filled in.  fd >= 0 goes along and stays the
 * caller's.
 */
void outbox_send(struct slot *slot, struct msg *msg, int fd);

/* Sends a message that consists of its type alone. */
void outbox_send_type(struct slot *slot, enum msg_type type);

/* Sends as many waiting messages as the worker reads. */
void outbox_flush(struct slot *slot);

/* Drops the waiting messages. */
void outbox_discard(struct slot *slot);

#endif
