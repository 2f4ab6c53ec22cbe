/*
 * What follows from what: from changes of the link to the database, from notifications, from
 * signals.
 */
#ifndef MASTER_EVENTS_H
#define MASTER_EVENTS_H

#include "master/master.h"

/* The handlers for node_open(). */
struct link_events events_of_link(struct master *m);

/* Acts upon the signals that have come. */
void events_signals(struct master *m);

#endif
