/*
 * The health of stores, as this node has seen it.
 *
 *   OK       its tasks are claimed
 *   SUSPECT  the last task failed for a trouble of the store; so its tasks are still claimed
 *   HELD     HEALTH_PATIENCE tasks failed so, with none in between that it served: claims leave its
 *            tasks alone
 *   PROBED   the same, and one of its tasks is tried: after a second, then less often, up to once a
 *            minute
 *
 * SUSPECT, HELD, PROBED -> OK when the store serves a task: an answer about its source, a part that
 * was stored.  A store that was full has served a task only when the whole object is there.
 *
 * A store has a health at each end: one that takes no objects can be read.  So there is an entry
 * for each end of each store.  The sources that are URLs have one for each host.  Claims cannot
 * tell hosts apart: tasks with a held host are claimed, and put off (queue/putoff.h).
 *
 * A store that the configuration does not have is held at once, and never probed: its tasks are
 * left to other nodes.
 *
 * Each node learns for itself, since its mounts, routes and configuration are its own, and learning
 * costs three tasks a fraction of a second and no attempt.  But a node that is served again tells
 * the others, which then probe at once (holds.h).
 */
#ifndef MASTER_LIMITS_HEALTH_H
#define MASTER_LIMITS_HEALTH_H

#include "common/channel.h"
#include "master/limits/limits.h"
#include "master/node/sqlarray.h"

#define HEALTH_PATIENCE 3
#define HEALTH_DELAY_MIN_MS 1000
#define HEALTH_DELAY_MAX_MS 60000

/* What the task's store at that end has done lately: a failure there may be the object's. */
enum store_seen health_seen(const struct limits *l, const struct task *task, enum task_end end);

/* The store has served the task; whole: the object is there. */
void health_served(struct limits *l, const struct task *task, enum task_end end, bool whole);

/*
 * The task failed.  Returns whether a store is held for it from now on: tasks that were claimed
 * ahead may use it.
 */
bool health_failed(struct limits *l, const struct task *task, const struct msg_result *result);

/* The task has ended, however it did. */
void health_ended(struct limits *l, const struct task *task);

/* Whether the end is held, so that its failures are no news. */
bool health_is_held(const struct limits *l, const struct task *task, enum task_end end);

/* Appends what claims leave alone, as ferry.due_tasks() reads it. */
void health_list(const struct limits *l, struct sqlarray *out);

/* Whether claims have to leave something alone. */
bool health_shuns(const struct limits *l);

/* The store that is to be probed now, or NULL. */
struct health *health_due(struct limits *l);

/* Appends what the claim for a probe leaves alone: all tasks but those of that end of the store. */
void health_list_probe(const struct health *h, struct sqlarray *out);

/* The claim for the probe that health_due() asked for has ended, with a task or NULL. */
void health_probed(struct limits *l, const struct task *task);

/* A new configuration is in force. */
void health_reload(struct limits *l);

/* Another node is served again by the store of that name. */
void health_hear(struct limits *l, const char *name);

/* Does what the clock demands.  Returns whether a store is to be probed. */
bool health_run(struct limits *l);
int64_t health_deadline(const struct limits *l);

#endif
