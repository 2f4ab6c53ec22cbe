#include "master/limits/shares.h"

#include <string.h>

#include "common/base/clock.h"
#include "master/limits/quota.h"

#define DIVIDE_EVERY_MS 1000

/* A worker that uses nothing keeps this part of an equal share, to show that it could use more. */
#define LEAST_PART 32

#define USE_UNKNOWN (-1)
/* Unknown, and the first report is too low because it includes connecting. */
#define USE_BEGUN (-2)

/* A task under a rate.  Numbers are bytes a second. */
struct claimant {
	struct slot *slot;
	struct slot_use *use;
	int64_t demand; /* INT64_MAX: as much as it gets */
	bool served; /* share is what it demands */
	int64_t share;
};

/* A rate that is being divided. */
struct division {
	const char *name;
	bool is_queue;
	int64_t rate;
	int others; /* tasks of other nodes under it */
	int n;
	struct claimant claimants[CONFIG_WORKERS_MAX];
};

/* A share that the process was told for an earlier task still holds. */
static void
note_use(struct slot *slot, int i, const char *name)
{
	struct slot_use *use = &slot->uses[i];
	const struct slot_use *told = &slot->told[i];

	strlcpy(use->name, name, sizeof(use->name));
	use->rate_told = name[0] != '\0' && strcmp(told->name, name) == 0 ? told->rate_told : -1;
}

/* The worker reports a bad URI. */
static void
note_store(struct slot *slot, int i, const char *uri_text)
{
	char why[256];
	struct uri uri;

	note_use(slot, i, uri_parse(&uri, uri_text, why, sizeof(why)) == 0 ? uri.store : "");
}

void
shares_begin(struct slot *slot)
{
	struct slot_use *uses = slot->uses;

	note_store(slot, USE_SOURCE, slot->task->source);
	note_store(slot, USE_DESTINATION, slot->task->destination);
	if (strcmp(uses[USE_SOURCE].name, uses[USE_DESTINATION].name) == 0)
		uses[USE_DESTINATION].name[0] = '\0';
	note_use(slot, USE_QUEUE, slot->task->queue);
	slot->use = USE_BEGUN;
}

void
shares_note(struct slot *slot, int64_t use)
{
	slot->use = slot->use == USE_BEGUN ? USE_UNKNOWN : use;
}

/* The rate of a use, 0 for none, and how many tasks under it other nodes have. */
static int64_t
limit_of(const struct limits *l, const struct slot *slot, int i, int *others)
{
	const struct quota *quota = quota_find(l, slot, i);
	const struct config_store *store =
	    i == USE_QUEUE ? NULL : config_find_store(l->state->conf, slot->uses[i].name);
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
	outbox_send(slot, &msg, -1);
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

/* How much the worker would use: more than its share if it has used nearly all of that. */
static int64_t
demand_of(const struct slot *slot, int i, int64_t least)
{
	int64_t use = slot->use, demand;

	if (use < 0 || slot->uses[i].rate_told <= 0)
		return INT64_MAX;
	/* one store is both read and written */
	if (i == USE_SOURCE && slot->uses[USE_DESTINATION].name[0] == '\0')
		use *= 2;
	if (use >= slot->uses[i].rate_told / 5 * 4)
		return INT64_MAX;
	demand = use / 4 * 5;
	return demand > least ? demand : least;
}

/*
 * A claimant that demands less than an equal part gets its demand.  That leaves more for the
 * others, so the equal part grows, and is compared again.  The rest is divided equally.
 */
static void
deal(struct division *d, int64_t left)
{
	struct claimant *c, *end = d->claimants + d->n;
	int open = d->n;
	bool again = true;

	while (open > 0 && again) {
		again = false;
		for (c = d->claimants; c < end; c++) {
			if (c->served || c->demand >= left / open)
				continue;
			c->served = again = true;
			c->share = c->demand;
			left -= c->demand;
			if (--open == 0)
				break;
		}
	}
	for (c = d->claimants; c < end; c++) {
		if (!c->served)
			c->share = left / open;
		else if (open == 0)
			/* nobody needs more: spread the rest so that nobody waits */
			c->share += left / d->n;
	}
}

static void
divide(struct limits *l, struct division *d)
{
	struct claimant *c;
	struct slot *slot;
	int64_t ours;
	int i;

	d->n = 0;
	POOL_FOREACH (slot, l->pool)
		if ((i = find_use(slot, d->name, d->is_queue)) != -1)
			d->claimants[d->n++] =
			    (struct claimant){ .slot = slot, .use = &slot->uses[i] };
	ours = (int64_t)((double)d->rate * d->n / (d->n + d->others));
	for (c = d->claimants; c < d->claimants + d->n; c++)
		c->demand =
		    demand_of(c->slot, (int)(c->use - c->slot->uses), ours / d->n / LEAST_PART);
	deal(d, ours);
	/* a share of 0 would mean "no limit" */
	for (c = d->claimants; c < d->claimants + d->n; c++)
		tell(c->slot, c->use, d->is_queue, c->share > 0 ? c->share : 1);
}

/* Whether no slot before this one is under the same rate, which is then divided here. */
static bool
is_first(const struct limits *l, const struct slot *slot, int i)
{
	const struct slot *other;

	for (other = l->pool->slots; other < slot; other++)
		if (find_use(other, slot->uses[i].name, i == USE_QUEUE) != -1)
			return false;
	return true;
}

/* Whether the slot's task has a use number i that may have a rate. */
static bool
has_use(const struct limits *l, const struct slot *slot, int i)
{
	const char *name = slot->uses[i].name;

	return slot->task != NULL && name[0] != '\0' &&
	       (i == USE_QUEUE || config_find_store(l->state->conf, name) != NULL);
}

static void
divide_use(struct limits *l, struct slot *slot, int i)
{
	static struct division d; /* large */

	d.rate = limit_of(l, slot, i, &d.others);
	if (d.rate == 0) {
		tell(slot, &slot->uses[i], i == USE_QUEUE, 0);
		return;
	}
	l->share_at = clock_ms() + DIVIDE_EVERY_MS;
	d.name = slot->uses[i].name;
	d.is_queue = i == USE_QUEUE;
	if (is_first(l, slot, i))
		divide(l, &d);
}

void
shares_divide(struct limits *l)
{
	struct slot *slot;
	int i;

	l->share_at = 0;
	l->state->agenda.divide = false;
	POOL_FOREACH (slot, l->pool)
		for (i = 0; i < SLOT_USES; i++)
			if (has_use(l, slot, i))
				divide_use(l, slot, i);
}

void
shares_run(struct limits *l)
{
	if (l->state->agenda.divide || (l->share_at != 0 && l->share_at <= clock_ms()))
		shares_divide(l);
}

int64_t
shares_deadline(const struct limits *l)
{
	return l->share_at;
}
