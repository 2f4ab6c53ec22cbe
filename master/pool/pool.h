/*
 * The policy of the pool: how many workers there should be, and which of them start, retire and are
 * killed.  spawn.c starts a process; master/exits.c judges its end.
 */
#ifndef MASTER_POOL_POOL_H
#define MASTER_POOL_POOL_H

#include "master/pool/slot.h"

#define POOL_DELAY_MIN_MS 100
#define POOL_DELAY_MAX_MS 30000

/* Needs p->state. */
void pool_init(struct pool *p);

/* Starts, retires and kills the workers that are due. */
void pool_run(struct pool *p);

/* When pool_run() has to be called again; 0: not by the clock. */
int64_t pool_deadline(const struct pool *p);

/* The worker has said that it is idle. */
void pool_idle(struct pool *p, struct slot *slot);

/* Makes an idle worker remove abandoned uploads. */
void pool_reap(struct slot *slot);

/* Tells a live worker to end once idle. */
void pool_drain(struct slot *slot);

/* Tells a live worker to hand back its task and end. */
void pool_stop(struct slot *slot);

/* The worker has closed its channel: it has to end soon. */
void pool_hang_up(struct slot *slot);

/* A worker died before it was ever idle.  Returns false if the last one died for the same reason.
 */
bool pool_note_bad_start(struct pool *p, const char *why);

/*
 * The process is gone and has been judged: frees what it had, and decides when the slot starts
 * again.
 */
void pool_vacate(struct pool *p, struct slot *slot, bool clean);

/* Sets the wanted number of workers, within its limits.  Returns false if target exceeds them. */
bool pool_resize(struct pool *p, int target);

/* The delay after one more bad start. */
int64_t pool_next_delay(int64_t delay_ms);

#endif
