/*
 * What stores allow this node: how many transfers at once, how many bytes a second, and not before when after a store
 * has asked for less.
 */
#ifndef MASTER_LIMITS_H
#define MASTER_LIMITS_H

#include "master/ferryd.h"

#define LIMITS_DELAY_MIN_MS 1000
#define LIMITS_DELAY_MAX_MS 60000

/* Writes down which stores the slot's task uses. */
void limits_note_uses(struct slot *slot);

/*
 * What the next claim may take: returns the most tasks that no limit of a store forbids (at most wanted), and in
 * excluded pointers to the names of stores that it must leave alone, *nexcluded of them, at most CONFIG_STORES_MAX.
 */
int limits_allowance(const struct master *m, int wanted, const char **excluded, int *nexcluded);

/* Tells workers their share of each limited store's rate where it has changed: the rate over the busy workers that use it. */
void limits_share_rates(struct master *m);

/* A store asked to slow down; a transfer that used stores went well. */
void limits_throttle(struct master *m, const char *store);
void limits_relax(struct master *m, const struct slot *slot);

/* When a store may be used again that may not be now (0: none). */
int64_t limits_deadline(const struct master *m);

/* Ends waits that are over; true if there was one, so that a claim may find more. */
bool limits_run(struct master *m);

#endif
