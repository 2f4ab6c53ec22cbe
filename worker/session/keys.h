/*
 * Keys that the master renews while tasks run.  A request is signed with the keys that its store
 * has when it begins.  If the store refuses them, the master is asked for newer ones, and the
 * request is asked again, uncounted, until the master has answered.
 */
#ifndef WORKER_SESSION_KEYS_H
#define WORKER_SESSION_KEYS_H

#include "worker/worker.h"

/* Takes keys that the master has sent: new ones, or the same as the answer to a REFUSED. */
void keys_take(struct worker *w, const struct msg_keys *keys);

/* What follows when a store refuses the keys of a request. */
enum keys_verdict {
	KEYS_REFUSED, /* there are no newer ones */
	KEYS_ASK, /* the master has to be asked: session_ask_keys() */
	KEYS_AWAITED, /* the master was asked and has not answered */
	KEYS_RENEWED, /* the store has newer ones than this request */
};

/* serial: store->keys_serial as the request began. */
enum keys_verdict keys_judge(const struct store *store, uint64_t serial, int64_t now);

/* When an awaited answer is looked for again, after now: at first soon, then more seldom. */
int64_t keys_look_ms(const struct store *store, int64_t now);

#endif
