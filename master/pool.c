/*
 * Owns the slots' states.
 */
#include "master/pool.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/units.h"
#include "master/post.h"
#include "master/spawn.h"

#define REAP_SILENCE_MS (60 * 60 * 1000) /* REAP says nothing until it has ended, and may abort thousands */
#define RETIRE_MAX_MS 60000		 /* an idle worker that was told to end has so long */
#define BRIEF_LIFE_MS 1000

void
pool_init(struct master *m)
{
	struct slot *slot;
	int number = 1;

	m->pool.span = 0;
	POOL_FOREACH (slot, m) {
		slot->number = number++;
		slot->pidfd = slot->channel = slot->report = slot->leaf.procs = -1;
		TAILQ_INIT(&slot->outbox);
	}
	pool_resize(m, m->conf->workers);
}

const char *
pool_state_name(enum slot_state state)
{
	static const char *const names[] = {
		[SLOT_EMPTY] = "empty",
		[SLOT_BACKOFF] = "backoff",
		[SLOT_STARTING] = "starting",
		[SLOT_IDLE] = "idle",
		[SLOT_BUSY] = "busy",
		[SLOT_STOPPING] = "stopping",
	};

	return names[state];
}

bool
pool_is_live(const struct slot *slot)
{
	return slot->pid != 0;
}

bool
pool_has_served(const struct slot *slot)
{
	return (slot->max_tasks > 0 && slot->ntasks >= slot->max_tasks) ||
	       (slot->expires_at != 0 && slot->expires_at <= clock_ms());
}

bool
pool_is_available(const struct master *m, const struct slot *slot)
{
	return slot->state == SLOT_IDLE && !slot->reserved && !slot->retiring && !slot->killed && slot->channel != -1 &&
	       slot->conf_generation == m->conf_generation && !pool_has_served(slot);
}

int
pool_count_live(const struct master *m)
{
	const struct slot *slot;
	int n = 0;

	POOL_FOREACH (slot, m)
		n += pool_is_live(slot);
	return n;
}

int
pool_count_busy(const struct master *m)
{
	const struct slot *slot;
	int n = 0;

	POOL_FOREACH (slot, m)
		n += slot->task != NULL;
	return n;
}

int64_t
pool_next_delay(int64_t delay_ms)
{
	if (delay_ms < POOL_DELAY_MIN_MS)
		return POOL_DELAY_MIN_MS;
	return delay_ms * 2 < POOL_DELAY_MAX_MS ? delay_ms * 2 : POOL_DELAY_MAX_MS;
}

void
pool_kill(struct slot *slot)
{
	slot->killed = true;
	slot->kill_at = 0;
	if (pool_is_live(slot) && !slot->exited)
		kill(slot->pid, SIGKILL);
}

void
pool_drop_task(struct slot *slot)
{
	free(slot->task);
	slot->task = NULL;
	slot->cancelled = slot->slow = false;
	memset(slot->uses, 0, sizeof(slot->uses));
	slot->bytes_done = 0;
	slot->bytes_total = -1;
}

void
pool_idle(struct master *m, struct slot *slot)
{
	if (!slot->was_idle && slot->report != -1) {
		close(slot->report);
		slot->report = -1;
	}
	if (!slot->was_idle && m->pool.bad_start[0] != '\0') {
		log_info("worker %d (pid %d) has started well, as workers did not of late", slot->number, (int)slot->pid);
		m->pool.bad_start[0] = '\0';
	}
	slot->was_idle = true;
	slot->reaping = false;
	pool_drop_task(slot);
	if (slot->retiring || master_is_ending(m)) {
		slot->state = SLOT_STOPPING;
		slot->kill_at = clock_ms() + RETIRE_MAX_MS;
		return;
	}
	slot->state = SLOT_IDLE;
	m->queue.claim_wanted = true;
}

void
pool_praise(struct slot *slot)
{
	slot->delay_ms = 0;
}

static void
retire(struct slot *slot)
{
	if (slot->retiring)
		return;
	slot->retiring = true;
	post_simple(slot, MSG_RETIRE);
	if (slot->state == SLOT_IDLE) {
		slot->state = SLOT_STOPPING;
		slot->kill_at = clock_ms() + RETIRE_MAX_MS;
	}
}

static void
back_off(struct slot *slot)
{
	slot->delay_ms = pool_next_delay(slot->delay_ms);
	slot->start_at = clock_ms() + slot->delay_ms;
	slot->state = SLOT_BACKOFF;
}

/*
 * A process that died before it was ever idle, or without having had anything to do, would die again at once: the slot
 * waits.  One that died over a task says nothing about the next.
 */
void
pool_vacate(struct master *m, struct slot *slot, bool clean)
{
	bool bad_start = !slot->was_idle || (slot->ntasks == 0 && (!clean || clock_ms() - slot->started_at < BRIEF_LIFE_MS));

	post_discard(slot);
	pool_drop_task(slot);
	if (slot->channel != -1)
		close(slot->channel);
	if (slot->report != -1)
		close(slot->report);
	if (slot->pidfd != -1)
		close(slot->pidfd);
	slot->channel = slot->report = slot->pidfd = -1;
	cap_leaf_remove(m->cap, &slot->leaf);
	slot->pid = 0;
	slot->kill_at = 0;
	slot->state = SLOT_EMPTY;
	if (bad_start && !slot->retiring && !slot->forgiven && !master_is_ending(m))
		back_off(slot);
	slot->ntasks = 0;
	memset(slot->told, 0, sizeof(slot->told));
	slot->was_idle = slot->retiring = slot->reserved = slot->reaping = false;
	slot->killed = slot->exited = slot->forgiven = slot->complained = false;
}

static void
start(struct master *m, struct slot *slot)
{
	const char *step;

	if (spawn_worker(m, slot, &step) == 0) {
		if (m->pool.start_failing)
			log_info("workers can be started again");
		m->pool.start_failing = false;
		slot->state = SLOT_STARTING;
		log_event(m->pool.bad_start[0] == '\0' ? LOG_INFO : LOG_DEBUG, "worker %d (pid %d) started", slot->number,
		    (int)slot->pid);
		return;
	}
	if (!m->pool.start_failing)
		log_error("worker %d cannot be started: %s: %s; will try again", slot->number, step, strerror(errno));
	m->pool.start_failing = true;
	back_off(slot);
}

/*
 * One that should go first comes last: idle ones are dearer than those that do not run, busy ones dearest.  An idle one for which
 * a claim is under way is waited for, rather than that a busy one goes in its place.
 */
static struct slot *
dispensable(struct master *m)
{
	static const enum slot_state order[] = { SLOT_BACKOFF, SLOT_STARTING, SLOT_IDLE, SLOT_BUSY };
	size_t i;
	int n;

	for (i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		for (n = CONFIG_WORKERS_MAX - 1; n >= 0; n--)
			if (m->pool.slots[n].state == order[i] && !m->pool.slots[n].retiring)
				return m->pool.slots[n].reserved ? NULL : &m->pool.slots[n];
	return NULL;
}

/* Its settings are those of an old configuration, or it has served its time. */
static bool
is_outworn(const struct master *m, const struct slot *slot)
{
	if (slot->reserved || !pool_is_live(slot))
		return false;
	if (slot->conf_generation != m->conf_generation)
		return true;
	return slot->state == SLOT_IDLE && pool_has_served(slot);
}

static void
shrink(struct master *m)
{
	struct slot *slot;
	int staying = 0;

	POOL_FOREACH (slot, m) {
		if (is_outworn(m, slot))
			retire(slot);
		staying += slot->state != SLOT_EMPTY && slot->state != SLOT_STOPPING && !slot->retiring;
	}
	while (staying-- > m->pool.target && (slot = dispensable(m)) != NULL) {
		if (slot->state == SLOT_BACKOFF)
			slot->state = SLOT_EMPTY;
		else
			retire(slot);
	}
}

/*
 * Whether one more process fits.  Those that live count with the cap that each was given until they are gone: one that retires,
 * or that an older configuration allowed more, too.
 */
static bool
has_memory(const struct master *m)
{
	const struct slot *slot;
	int64_t used = MASTER_MEMORY;

	if (m->conf->memory_total == 0)
		return true;
	POOL_FOREACH (slot, m)
		if (pool_is_live(slot))
			used += slot->memory;
	return used + m->conf->worker.memory <= m->conf->memory_total;
}

static void
grow(struct master *m)
{
	struct slot *slot;
	int taken = 0;

	POOL_FOREACH (slot, m) {
		if (slot->state == SLOT_BACKOFF && slot->start_at <= clock_ms() && has_memory(m))
			start(m, slot);
		taken += slot->state != SLOT_EMPTY;
	}
	POOL_FOREACH (slot, m) {
		if (taken >= m->pool.target || !has_memory(m))
			return; /* an end makes room, and is an event */
		if (slot->state == SLOT_EMPTY) {
			start(m, slot);
			taken++;
		}
	}
}

/* When a worker that does not say or take anything counts as hung; 0: it may be silent. */
static int64_t
hung_at(const struct slot *slot)
{
	const struct outgoing *out = TAILQ_FIRST(&slot->outbox);
	int64_t at = 0;

	if (!pool_is_live(slot) || slot->killed)
		return 0;
	if (slot->state == SLOT_STARTING || slot->state == SLOT_BUSY)
		at = slot->heard_at + (slot->reaping ? REAP_SILENCE_MS : slot->silence_ms);
	if (out != NULL)
		at = clock_earlier(at, out->since + slot->silence_ms);
	return at;
}

static void
kill_overdue(struct slot *slot, int64_t now)
{
	int64_t hung = hung_at(slot);

	if (slot->kill_at != 0 && slot->kill_at <= now) {
		log_warn("worker %d (pid %d) did not end when told to: killed", slot->number, (int)slot->pid);
		pool_kill(slot);
	} else if (hung != 0 && hung <= now) {
		log_error("worker %d (pid %d) is hung, silent for %d s: killed", slot->number, (int)slot->pid,
		    (int)((now - slot->heard_at) / 1000));
		pool_kill(slot);
	}
}

void
pool_run(struct master *m)
{
	struct slot *slot;
	int64_t now = clock_ms();

	POOL_FOREACH (slot, m)
		kill_overdue(slot, now);
	if (master_is_ending(m))
		return;
	shrink(m);
	if (m->queue.node != 0)
		grow(m);
}

int64_t
pool_deadline(const struct master *m)
{
	const struct slot *slot;
	bool may_start = m->queue.node != 0 && !master_is_ending(m) && has_memory(m);
	int64_t at = 0;

	POOL_FOREACH (slot, m) {
		at = clock_earlier(at, slot->kill_at);
		at = clock_earlier(at, hung_at(slot));
		if (slot->state == SLOT_IDLE && !slot->reserved && !master_is_ending(m))
			at = clock_earlier(at, slot->expires_at);
		if (slot->state == SLOT_BACKOFF && may_start)
			at = clock_earlier(at, slot->start_at);
	}
	return at;
}

/* Once for each number that it is held at, since that is how the machine is set up. */
static void
log_held(struct master *m, int wanted, int most)
{
	char total[32], each[32];

	if (m->pool.held_at != most)
		log_warn("%d workers are wanted, the pool is held at %d by memory_total of %s: each may have %s", wanted, most,
		    units_exact_size(total, sizeof(total), m->conf->memory_total),
		    units_exact_size(each, sizeof(each), m->conf->worker.memory));
	m->pool.held_at = most;
}

bool
pool_resize(struct master *m, int target)
{
	int most = config_workers_most(m->conf);
	bool fits = target <= most;

	if (!fits && most < CONFIG_WORKERS_MAX)
		log_held(m, target, most);
	else
		m->pool.held_at = 0;
	if (!fits)
		target = most;
	m->pool.target = target > 0 ? target : 0;
	if (m->pool.target > m->pool.span)
		m->pool.span = m->pool.target;
	return fits;
}
