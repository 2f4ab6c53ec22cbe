/*
 * The conversation on each new connection to the database: whether a pooler lets it keep its
 * server, LISTEN, the version of the schema, our row.  Tasks are claimed only when the link is
 * READY.
 */
#ifndef MASTER_NODE_LINK_H
#define MASTER_NODE_LINK_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/db/db.h"

struct node;

/* DOWN -> SCHEMA -> ROW -> READY; from each back to DOWN, from ROW back to SCHEMA */
enum link {
	LINK_DOWN, /* no connection */
	LINK_SCHEMA, /* the pooler or the schema is being asked about, or does not fit */
	LINK_ROW, /* our row is being made or renewed */
	LINK_READY,
};

/* What follows from a change of the link is decided elsewhere: master/events.c. */
struct link_events {
	void (*fits)(void *arg); /* the schema fits: our row comes next */
	void (*ready)(void *arg); /* our row is there */
	void (*lapsed)(void *arg); /* our lease has lapsed: other nodes have our tasks */
	void (*down)(void *arg); /* the connection is gone, or there never was one */
	void (*notify)(void *arg, const char *channel, const char *payload); /* NOTIFY */
	/* The database is up and cannot be used, which may pass. */
	void (*waits)(void *arg);
	/* At the start: the database cannot be used, and will not be until somebody acts. */
	void (*refused)(void *arg, const char *why);
	void *arg;
};

/* Makes the handle and starts to connect.  Never fails. */
void link_open(struct node *n, const struct link_events *events);

/* Takes the answer about a pooler, and asks again if that is due. */
void link_run(struct node *n);
int64_t link_deadline(const struct node *n);

bool link_is_ready(const struct node *n);

/* Our row is there. */
void link_set_ready(struct node *n);

/*
 * The database refuses to make our row, with res: begins again with the schema, after a while.  At
 * the start, a right that is missing is the end.
 */
void link_retry(struct node *n, const PGresult *res);

/* The database refuses to renew our row: asks for the schema again after a while. */
void link_ask_later(struct node *n);

/* Sets up the planner for our statements: the first statement of each connection of the master. */
void link_set_planner(struct db *db);

void link_close(struct node *n);

#endif
