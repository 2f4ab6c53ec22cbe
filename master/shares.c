/*
 * Owns the workers' shares of rates.
 */
#include "master/shares.h"

#include <string.h>

#include "common/clock.h"
#include "master/pool.h"
#include "master/post.h"
#include "master/quota.h"

#define DIVIDE_EVERY_MS 1000
#define LEAST_PART 32 /* who uses nothing keeps this part of an equal share, to show that it could use more */
#define USE_UNKNOWN (-1)
#define USE_BEGUN (-2) /* nor will the first word of it say much: connecting took some of the time */

struct claimant {
	struct slot *slot;
	struct slot_use *use;
	int64_t demand; /* INT64_MAX: as much as it gets */
	bool settled;
	int64_t share;
};

/* The limit that is being divided. */
struct division {
	const char *name;
	bool is_queue;
	int64_t rate;
	int others;
	int n;
	struct claimant claimants[CONFIG_WORKERS_MAX];
};

void
shares_begin(struct slot *slot)
{
	slot->use = USE_BEGUN;
}

void
shares_note(struct slot *slot, int64_t use)
{
	slot->use = slot->use == USE_BEGUN ? USE_UNKNOWN : use;
}

/* The limit on a use, 0 for none, and how many tasks under it others have. */
static int64_t
limit_of(const struct master *m, const struct slot *slot, int i, int *others)
{
	const struct quota *quota = quota_find(m, slot, i);
	const struct config_store *store = i == USE_QUEUE ? NULL : config_find_store(m->conf, slot->uses[i].name);
	int64_t rate = quota != NULL ? quota->rate : 0;

	*others = quota != NULL ? quota->others : 0;
	if (store != NULL && store->rate > 0 && (rate == 0 || store->rate < rate))
		rate = store->rate;
	return rate;
}

static void
tell(struct slot *slot, struct slot_use *use, bool is_queue, int64_t rate)
{
	struct msg msg = { .type = MSG_RATE };

	if (rate == use->rate_told)
		return;
	use->rate_told = rate;
	slot->told[use - slot->uses] = *use;
	if (!is_queue)
		strlcpy(msg.rate.store, use->name, sizeof(msg.rate.store));
	msg.rate.rate = rate;
	post_send(slot, &msg, -1);
}

static int
find_use(const struct slot *slot, const char *name, bool is_queue)
{
	int i;

	for (i = 0; slot->task != NULL && i < SLOT_USES; i++)
		if ((i == USE_QUEUE) == is_queue && strcmp(slot->uses[i].name, name) == 0)
			return i;
	return -1;
}

/* What it would use: more than its share if it has used all of that but a little. */
static int64_t
demand_of(const struct slot *slot, int i, int64_t least)
{
	int64_t use = slot->use, demand;

	if (use < 0 || slot->uses[i].rate_told <= 0)
		return INT64_MAX;
	/* the one store is read and written */
	if (i == USE_SOURCE && slot->uses[USE_DESTINATION].name[0] == '\0')
		use *= 2;
	if (use >= slot->uses[i].rate_told / 5 * 4)
		return INT64_MAX;
	demand = use / 4 * 5;
	return demand > least ? demand : least;
}

/* Those that want less than an equal part get what they want, again and again, until the rest can be dealt out equally. */
static void
deal(struct division *d, int64_t left)
{
	struct claimant *c, *end = d->claimants + d->n;
	int open = d->n;
	bool again = true;

	while (open > 0 && again) {
		again = false;
		for (c = d->claimants; c < end; c++) {
			if (c->settled || c->demand >= left / open)
				continue;
			c->settled = again = true;
			c->share = c->demand;
			left -= c->demand;
			if (--open == 0)
				break;
		}
	}
	for (c = d->claimants; c < end; c++) {
		if (!c->settled)
			c->share = left / open;
		else if (open == 0)
			c->share += left / d->n; /* nobody needs it: nobody need wait for it either */
	}
}

static void
divide(struct master *m, struct division *d)
{
	struct claimant *c;
	struct slot *slot;
	int64_t ours;
	int i;

	d->n = 0;
	POOL_FOREACH (slot, m)
		if ((i = find_use(slot, d->name, d->is_queue)) != -1)
			d->claimants[d->n++] = (struct claimant){ .slot = slot, .use = &slot->uses[i] };
	ours = (int64_t)((double)d->rate * d->n / (d->n + d->others));
	for (c = d->claimants; c < d->claimants + d->n; c++)
		c->demand = demand_of(c->slot, (int)(c->use - c->slot->uses), ours / d->n / LEAST_PART);
	deal(d, ours);
	/* a share of nothing would mean "no limit": at least one byte a second */
	for (c = d->claimants; c < d->claimants + d->n; c++)
		tell(c->slot, c->use, d->is_queue, c->share > 0 ? c->share : 1);
}

/* Each limit is divided when its first user is met. */
static bool
is_first(const struct master *m, const struct slot *slot, int i)
{
	const struct slot *other;

	for (other = m->pool.slots; other < slot; other++)
		if (find_use(other, slot->uses[i].name, i == USE_QUEUE) != -1)
			return false;
	return true;
}

void
shares_divide(struct master *m)
{
	static struct division d;
	struct slot *slot;
	int i;

	m->quotas.share_at = 0;
	POOL_FOREACH (slot, m) {
		for (i = 0; slot->task != NULL && i < SLOT_USES; i++) {
			if (slot->uses[i].name[0] == '\0' || (i != USE_QUEUE && config_find_store(m->conf, slot->uses[i].name) == NULL))
				continue;
			d.rate = limit_of(m, slot, i, &d.others);
			if (d.rate == 0) {
				tell(slot, &slot->uses[i], i == USE_QUEUE, 0);
				continue;
			}
			m->quotas.share_at = clock_ms() + DIVIDE_EVERY_MS;
			d.name = slot->uses[i].name;
			d.is_queue = i == USE_QUEUE;
			if (is_first(m, slot, i))
				divide(m, &d);
		}
	}
}

void
shares_run(struct master *m)
{
	if (m->quotas.share_at != 0 && m->quotas.share_at <= clock_ms())
		shares_divide(m);
}

int64_t
shares_deadline(const struct master *m)
{
	return m->quotas.share_at;
}
