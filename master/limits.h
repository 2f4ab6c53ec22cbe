/*
 * What tasks use that may be limited, and stores that have asked for less: not before when they may be used again.  Limits that are
 * configured are quota.h's and shares.h's.
 */
#ifndef MASTER_LIMITS_H
#define MASTER_LIMITS_H

#include "master/ferryd.h"

#define LIMITS_DELAY_MIN_MS 1000
#define LIMITS_DELAY_MAX_MS 60000

/* Writes down which stores the slot's task uses, and its queue. */
void limits_note_uses(struct slot *slot);

/* Pointers to the names of the stores that claims must leave alone, at most CONFIG_STORES_MAX; returns how many. */
int limits_throttled(const struct master *m, const char **names);

/* A store asked to slow down; a transfer that used stores went well. */
void limits_throttle(struct master *m, const char *store);
void limits_relax(struct master *m, const struct slot *slot);

/* When a store may be used again that may not be now (0: none). */
int64_t limits_deadline(const struct master *m);

/* Ends waits that are over; true if there was one, so that a claim may find more. */
bool limits_run(struct master *m);

#endif
