/*
 * Messages to a worker: sent at once if it reads, else kept until it does.
 */
#ifndef MASTER_POST_H
#define MASTER_POST_H

#include "master/ferryd.h"

/* Sends with the slot's number and generation filled in; fd >= 0 goes along and stays the caller's. */
void post_send(struct slot *slot, struct msg *msg, int fd);

/* One of the messages that are nothing but their type. */
void post_simple(struct slot *slot, enum msg_type type);

/* Sends what waits, as far as the worker reads. */
void post_flush(struct slot *slot);

/* Forgets what waits. */
void post_discard(struct slot *slot);

#endif
