/*
 * The worker's end of the channel.  What the master says becomes a flag or a value in struct worker, acted upon by whoever
 * waits; nothing is done here that could take long.
 */
#ifndef WORKER_SESSION_H
#define WORKER_SESSION_H

#include "worker/worker.h"

/* Takes in all messages that are there.  Sets w->eof when the master is gone. */
void session_receive(struct worker *w);

/* Puts a configuration in force that arrived whole, if no task is in work. */
void session_apply(struct worker *w);

/* Says so, and waits while the master does not read.  Nothing is said to a master that is gone. */
void session_ready(struct worker *w);
void session_result(struct worker *w, const struct msg_result *result);

/* After a RESULT that says so: the task that was sent meanwhile is the one in work. */
void session_go_on(struct worker *w);

/* While a task is in work: progress to the master and into the title, once a second; and its successor back, if it lasts.  When that is due next. */
void session_tick(struct worker *w);
int64_t session_deadline(const struct worker *w);

/* The title and the state of an idle worker. */
void session_idle(struct worker *w);

/* The store of that name in force, or NULL. */
struct store *session_store(struct worker *w, const char *name);

void session_release(struct worker *w);

#endif
