/*
 * What health.c and admit.c share.
 */
#ifndef MASTER_LIMITS_PRIVATE_H
#define MASTER_LIMITS_PRIVATE_H

#include "master/limits/health.h"

static inline bool
health_holds(const struct health *h)
{
	return h->name[0] != '\0' && h->state >= HEALTH_HELD;
}

/*
 * Writes the name of that end of the task: the store, or of a URL scheme and host; empty if it has
 * none.  Returns whether it is a URL.
 */
bool health_name(const struct task *task, enum task_end end, char name[HEALTH_NAME_MAX]);

/* The entry of that name and end, or NULL. */
struct health *health_find(const struct limits *l, const char *name, enum task_end end);

/* The entry, which is made if need be.  NULL: the end has no name, or there is no place. */
struct health *health_entry(struct limits *l, const struct task *task, enum task_end end);

/* The store is held from now on. */
void health_hold(struct limits *l, struct health *h);

/* The task is the probe of the store. */
void health_probe_with(struct health *h, const struct task *task);

#endif
