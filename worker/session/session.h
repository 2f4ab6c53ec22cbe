/*
 * The worker's end of the channel.  Each message of the master becomes a flag or a value in struct
 * worker; the code that waits acts upon it.  Nothing here takes long.
 */
#ifndef WORKER_SESSION_SESSION_H
#define WORKER_SESSION_SESSION_H

#include "worker/base/failure.h"
#include "worker/worker.h"

/* Reads all messages that have arrived.  Sets w->eof if the master has exited. */
void session_receive(struct worker *w);

/* Puts a complete new configuration into force, unless a task is in work. */
void session_apply(struct worker *w);

/*
 * Sends msg to the master.  If the channel is full, a message that must arrive waits; any other is
 * dropped.  Lines of the log that were lost are reported first.
 */
void session_send(struct worker *w, struct msg *msg, bool must);

/* Tells the master that this worker is idle.  Waits if the channel is full. */
void session_ready(struct worker *w);

/* Tells the master how a task has ended.  Waits if the channel is full. */
void session_result(struct worker *w, const struct msg_result *result);

/* After a RESULT with goes_on: the next task becomes the task in work. */
void session_go_on(struct worker *w);

/*
 * Once a second, while a task is in work: sends its progress, and shows it in the process title.
 * Returns the next task to the master if the task in work lasts.
 */
void session_tick(struct worker *w);

/* When session_tick() is due (clock_ms()); 0: not at all. */
int64_t session_deadline(const struct worker *w);

/* Tells the master that the store has refused its keys; keys_take() gets the answer. */
void session_ask_keys(struct worker *w, struct store *store);

/* Shows in the process title that the worker is idle. */
void session_idle(struct worker *w);

/* The store of that name in the configuration in force, or NULL. */
struct store *session_store(struct worker *w, const char *name);

/*
 * Fails, since the configuration does not have the store that an end of the task names, "source" or
 * "destination".  Another node may have it.  Returns -1.
 */
int session_lacks_store(struct failure *f, const char *end, const char *store);

/* Frees the configurations. */
void session_release(struct worker *w);

#endif
