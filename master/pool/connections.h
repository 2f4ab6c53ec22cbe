/*
 * The workers' connections to the database.  A worker opens one when a statement needs it, and only
 * when the master grants that: the setting database_connections bounds them, and so does a server
 * that refuses more.  If others wait, a worker is told to give its connection back as soon as no
 * statement is under way.  So few connections serve many workers in turn.
 *
 * A worker that has waited for a good part of the lease, while the master is connected, is told
 * that there is none: it gives its task back, so that another takes it.  While one waits for long,
 * tasks go to workers that have a connection only.
 *
 * The server's refusal is logged once a minute.
 */
#ifndef MASTER_POOL_CONNECTIONS_H
#define MASTER_POOL_CONNECTIONS_H

#include "common/channel.h"
#include "master/pool/slot.h"

/* The worker has said how its connection fares. */
void connections_note(struct pool *p, struct slot *slot, const struct msg_database *msg);

/* Grants, takes back and refuses. */
void connections_run(struct pool *p);
int64_t connections_deadline(const struct pool *p);

/* How many workers are connected. */
int connections_count(const struct pool *p);

/* The process is gone, and its connection with it. */
void connections_vacate(struct slot *slot);

/* The master's own connection is gone: what the server admits is not known any more. */
void connections_forget(struct pool *p);

#endif
