/*
 * Stores that have asked to slow down: when new transfers may use them again.
 */
#ifndef MASTER_LIMITS_THROTTLE_H
#define MASTER_LIMITS_THROTTLE_H

#include "master/limits/limits.h"

#define THROTTLE_DELAY_MIN_MS 1000
#define THROTTLE_DELAY_MAX_MS 60000

/*
 * Pointers to the names of the stores that claims must leave alone, at most CONFIG_STORES_MAX:
 * those that have asked to slow down, and those whose command has given no keys yet.  Returns how
 * many.
 */
int throttle_list(const struct limits *l, const char **names);

/* A store has asked to slow down. */
void throttle_store(struct limits *l, const char *store);

/* The slot's transfer went well: the next wait for its stores is short again. */
void throttle_relax(struct limits *l, const struct slot *slot);

/* When the first wait ends; 0: there is none. */
int64_t throttle_deadline(const struct limits *l);

/* Ends the waits that are over.  Returns whether there was one: a claim may find more tasks. */
bool throttle_run(struct limits *l);

#endif
