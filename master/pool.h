/*
 * The policy of the pool: how many workers there should be, which of them start, retire and are given up.
 * How a process is started is spawn.c's, how its end is judged reap.c's.
 */
#ifndef MASTER_POOL_H
#define MASTER_POOL_H

#include "master/ferryd.h"

#define POOL_DELAY_MIN_MS 100
#define POOL_DELAY_MAX_MS 30000

void pool_init(struct master *m);

/* Starts, retires and kills what has to be by now.  When that has to be asked again (0: not by the clock). */
void pool_run(struct master *m);
int64_t pool_deadline(const struct master *m);

/* The worker said that it is idle; that its task ended well. */
void pool_idle(struct master *m, struct slot *slot);
void pool_praise(struct slot *slot);

/* The process is gone and has been judged: frees what it had, and decides when the slot starts again. */
void pool_vacate(struct master *m, struct slot *slot, bool clean);

void pool_kill(struct slot *slot);

/* Wanted number of workers, held within its limits; false if it is more than they allow. */
bool pool_resize(struct master *m, int target);

/* Gives up the task that the slot has. */
void pool_drop_task(struct slot *slot);

bool pool_is_live(const struct slot *slot);
bool pool_is_available(const struct master *m, const struct slot *slot); /* idle, and may be given a task */
bool pool_has_served(const struct slot *slot); /* as many tasks, or as long, as it may */
int pool_count_live(const struct master *m);
int pool_count_busy(const struct master *m);

/* Every slot, used or not. */
#define POOL_FOREACH(slot, m) for ((slot) = (m)->pool.slots; (slot) < (m)->pool.slots + pool_span(m); (slot)++)
static inline int
pool_span(const struct master *m)
{
	return m->pool.span > 0 ? m->pool.span : CONFIG_WORKERS_MAX;
}

/* "starting", "idle", … */
const char *pool_state_name(enum slot_state state);

/* The delay after one more bad start. */
int64_t pool_next_delay(int64_t delay_ms);

#endif
