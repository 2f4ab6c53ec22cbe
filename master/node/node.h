/*
 * This node in the database: its connections, its row and its lease.
 */
#ifndef MASTER_NODE_NODE_H
#define MASTER_NODE_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include "master/node/aside.h"
#include "master/node/clocks.h"
#include "master/node/link.h"
#include "master/node/pooler.h"
#include "master/node/refusals.h"
#include "master/node/second.h"
#include "master/pool/slot.h"
#include "master/state.h"

#define NODE_REFUSED_MAX 1024

struct node {
	struct state *state;
	struct pool *pool;

	/* The connection: link.c. */
	struct db *db;
	enum link link;
	struct link_events events;
	int64_t schema_at; /* when to ask for the schema again; 0: need not be */
	char schema_said[512]; /* logged: why the schema does not fit; empty: it does */
	int schema_version; /* the newest that the database has had; 0: not known yet */
	struct refused refusals;

	/* What we wait for: waiting.c. */
	char refused[NODE_REFUSED_MAX]; /* why a database that is up is not used; empty: it is */
	struct outage waiting;

	/* Our row: node.c.  Its id is in pool->lease, since workers are told it. */
	char name[CONFIG_PATH_MAX + 256];
	bool renewing; /* over the first connection */
	struct lease_ask ask; /* over the first connection */
	int64_t asked_at; /* when it was sent, on clock_ms() */
	bool registered; /* since the start of this process */
	int previous_pid; /* of a ferryd that left its pid in our pid file; 0: none did */
	int64_t ids_reached; /* the largest id that the sequence of tasks has given, as far as we
				know */
	int others; /* nodes besides this one, as of the last renewal */
	int64_t rescue_at; /* when the lease of another node will have lapsed; 0: none does soon */

	struct clocks clocks;
	struct second second;
	struct aside aside;
	struct pooler pooler;
};

/* Connects and registers this node.  Never fails. */
void node_open(struct node *n, const struct link_events *events);

/* The id of our row; 0: none. */
int64_t node_id(const struct node *n);

/* Makes our row, or renews it if it is there. */
void node_enter(struct node *n);

/* Renews the lease if that is due, and asks for the rescue of other nodes' tasks. */
void node_run(struct node *n);
int64_t node_deadline(const struct node *n);

void node_close(struct node *n);

#endif
