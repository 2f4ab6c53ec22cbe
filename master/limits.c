/*
 * Owns the shares of rates and the list of throttled stores.
 */
#include "master/limits.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "master/pool.h"
#include "master/post.h"

static void
note_use(struct slot_use *use, const char *uri_text)
{
	char why[256];
	struct uri uri;

	use->rate_told = -1;
	use->store[0] = '\0';
	/* What is wrong with the URI is for the worker to say. */
	if (uri_parse(&uri, uri_text, why, sizeof(why)) == 0)
		strlcpy(use->store, uri.store, sizeof(use->store));
}

void
limits_note_uses(struct slot *slot)
{
	note_use(&slot->uses[0], slot->task->source);
	note_use(&slot->uses[1], slot->task->destination);
	if (strcmp(slot->uses[0].store, slot->uses[1].store) == 0)
		slot->uses[1].store[0] = '\0';
}

static int
count_users(const struct master *m, const char *store)
{
	const struct slot *slot;
	int n = 0;

	POOL_FOREACH (slot, m)
		if (slot->task != NULL)
			n += strcmp(slot->uses[0].store, store) == 0 || strcmp(slot->uses[1].store, store) == 0;
	return n;
}

static const struct throttle *
find_throttle(const struct master *m, const char *store)
{
	const struct throttle *t;

	for (t = m->throttles; t < m->throttles + CONFIG_STORES_MAX; t++)
		if (strcmp(t->store, store) == 0)
			return t;
	return NULL;
}

int
limits_allowance(const struct master *m, int wanted, const char **excluded, int *nexcluded)
{
	const struct config_store *store;
	const struct throttle *throttle;
	int i, left;

	*nexcluded = 0;
	for (i = 0; i < m->conf->nstores; i++) {
		store = &m->conf->stores[i];
		throttle = find_throttle(m, store->name);
		left = store->max_transfers > 0 ? store->max_transfers - count_users(m, store->name) : wanted;
		if (left <= 0 || (throttle != NULL && throttle->until != 0))
			excluded[(*nexcluded)++] = store->name;
		else if (left < wanted)
			wanted = left;
	}
	return wanted;
}

static void
tell(struct slot *slot, struct slot_use *use, int64_t rate)
{
	struct msg msg = { .type = MSG_RATE };

	use->rate_told = rate;
	strlcpy(msg.rate.store, use->store, sizeof(msg.rate.store));
	msg.rate.rate = rate;
	post_send(slot, &msg, -1);
}

/* A share of nothing would mean "no limit": at least one byte a second. */
static int64_t
share(int64_t rate, int users)
{
	int64_t part = rate / users;

	return rate > 0 && part == 0 ? 1 : part;
}

void
limits_share_rates(struct master *m)
{
	const struct config_store *store;
	struct slot *slot;
	int64_t rate;
	int i;

	POOL_FOREACH (slot, m) {
		if (slot->task == NULL)
			continue;
		for (i = 0; i < 2; i++) {
			store = config_find_store(m->conf, slot->uses[i].store);
			rate = store == NULL || store->rate == 0 ? 0 : share(store->rate, count_users(m, store->name));
			/* A worker has no limit until it is told of one. */
			if (rate != slot->uses[i].rate_told && slot->uses[i].store[0] != '\0' && store != NULL)
				tell(slot, &slot->uses[i], rate);
		}
	}
}

void
limits_throttle(struct master *m, const char *store)
{
	struct throttle *t, *found = NULL;
	int64_t now = clock_ms();

	for (t = m->throttles; t < m->throttles + CONFIG_STORES_MAX; t++) {
		if (strcmp(t->store, store) == 0) {
			found = t;
			break;
		}
		if (found == NULL && t->store[0] == '\0')
			found = t;
	}
	if (found == NULL || store[0] == '\0' || (found->store[0] != '\0' && found->until > now))
		return; /* another transfer has said so already */
	strlcpy(found->store, store, sizeof(found->store));
	found->delay_ms = found->delay_ms == 0 ? LIMITS_DELAY_MIN_MS : found->delay_ms * 2;
	if (found->delay_ms > LIMITS_DELAY_MAX_MS)
		found->delay_ms = LIMITS_DELAY_MAX_MS;
	found->until = now + found->delay_ms;
	log_warn("store %s asks to slow down: no new transfers with it for %d s", store, (int)(found->delay_ms / 1000));
}

void
limits_relax(struct master *m, const struct slot *slot)
{
	struct throttle *t;

	for (t = m->throttles; t < m->throttles + CONFIG_STORES_MAX; t++)
		if (t->store[0] != '\0' && t->until == 0 &&
		    (strcmp(t->store, slot->uses[0].store) == 0 || strcmp(t->store, slot->uses[1].store) == 0))
			memset(t, 0, sizeof(*t));
}

int64_t
limits_deadline(const struct master *m)
{
	const struct throttle *t;
	int64_t at = 0;

	for (t = m->throttles; t < m->throttles + CONFIG_STORES_MAX; t++)
		at = clock_earlier(at, t->until);
	return at;
}

bool
limits_run(struct master *m)
{
	struct throttle *t;
	bool over = false;

	for (t = m->throttles; t < m->throttles + CONFIG_STORES_MAX; t++)
		if (t->until != 0 && t->until <= clock_ms()) {
			t->until = 0;
			over = true;
		}
	return over;
}
