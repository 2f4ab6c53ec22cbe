#include "master/gather.h"

#include <string.h>

#include "common/base/clock.h"

#define GATHER_MS 1000

_Static_assert(FIGURES_STATES == SLOT_STOPPING, "the figures have every state but EMPTY");

static void
gather_states(const struct pool *p, struct figures *f)
{
	const struct slot *slot;
	int i;

	for (i = 0; i < FIGURES_STATES; i++) {
		f->states[i].workers = 0;
		strlcpy(f->states[i].name, slot_state_name((enum slot_state)(i + 1)),
		    sizeof(f->states[i].name));
	}
	POOL_FOREACH (slot, p)
		if (slot->state != SLOT_EMPTY)
			f->states[slot->state - 1].workers++;
}

static void
gather_workers(struct master *m, struct figures *f)
{
	struct figures_worker *worker;
	struct slot *slot;

	f->nworkers = 0;
	POOL_FOREACH (slot, &m->pool) {
		if (!slot_is_live(slot))
			continue;
		worker = &f->workers[f->nworkers++];
		*worker = (struct figures_worker){
			.number = slot->number,
			.state = (int)slot->state - 1,
			.pid = (int)slot->pid,
			.generation = slot->generation,
			.cap = slot->memory,
			.task = slot->task != NULL ? slot->task->id : 0,
			.has_task = slot->task != NULL,
			.bytes_done = slot->task != NULL ? slot->bytes_done : 0,
			.bytes_total = slot->task != NULL ? slot->bytes_total : -1,
		};
		cap_leaf_usage(m->pool.cap, &slot->leaf, slot->pid, &worker->memory, &worker->peak);
	}
}

static bool
is_throttled(const struct limits *l, const char *store)
{
	const struct throttle *t;

	for (t = l->throttles; t < l->throttles + CONFIG_STORES_MAX; t++)
		if (strcmp(t->store, store) == 0)
			return t->until != 0;
	return false;
}

/* The class of failures that the store is held for, at either end; empty if it is not held. */
static const char *
trouble_of(const struct limits *l, const char *store)
{
	const struct health *h;

	for (h = l->health; h < l->health + HEALTH_MAX; h++)
		if (h->state >= HEALTH_HELD && !h->is_host && strcmp(h->name, store) == 0)
			return error_class_name(h->class);
	return "";
}

static void
gather_clock(const struct clocks *clocks, struct figures_store *store)
{
	const struct clock *clock;

	store->has_clock = 0;
	for (clock = clocks->list; clock < clocks->list + clocks->n; clock++)
		if (strcmp(clock->name, store->name) == 0) {
			store->has_clock = 1;
			store->clock_ahead_s = clock->epoch - clocks_epoch();
		}
}

static void
gather_stores(const struct master *m, struct figures *f)
{
	const struct config *conf = m->state.conf;
	int i;

	f->nstores = conf->nstores;
	for (i = 0; i < conf->nstores; i++) {
		strlcpy(f->stores[i].name, conf->stores[i].name, sizeof(f->stores[i].name));
		f->stores[i].throttled = is_throttled(&m->limits, conf->stores[i].name);
		strlcpy(f->stores[i].trouble, trouble_of(&m->limits, conf->stores[i].name),
		    sizeof(f->stores[i].trouble));
		f->stores[i].no_keys = config_awaits_keys(&conf->stores[i]);
		gather_clock(&m->node.clocks, &f->stores[i]);
	}
}

int64_t
gather_deadline(const struct master *m)
{
	if (!exporter_listens(&m->exporter))
		return 0;
	return m->gather_at != 0 ? m->gather_at : clock_ms();
}

void
gather_run(struct master *m)
{
	struct figures *f = &m->state.figures;
	int64_t at = gather_deadline(m), left;

	if (at == 0 || at > clock_ms())
		return;
	m->gather_at = clock_ms() + GATHER_MS;
	left = m->pool.lease.until - clock_boot_ms();
	f->node = node_id(&m->node);
	f->running = m->state.phase == PHASE_RUNNING;
	f->database_up = db_is_up(m->node.db);
	f->lease_ms = m->pool.lease.until != 0 && left > 0 ? left : 0;
	gather_states(&m->pool, f);
	gather_workers(m, f);
	gather_stores(m, f);
	exporter_send(&m->exporter, f);
}
