#include "master/limits/throttle.h"

#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"

static const struct throttle *
find_throttle(const struct limits *l, const char *store)
{
	const struct throttle *t;

	for (t = l->throttles; t < l->throttles + CONFIG_STORES_MAX; t++)
		if (strcmp(t->store, store) == 0)
			return t;
	return NULL;
}

int
throttle_list(const struct limits *l, const char **names)
{
	const struct config_store *store = l->state->conf->stores;
	const struct throttle *throttle;
	int n = 0;

	for (; store < l->state->conf->stores + l->state->conf->nstores; store++) {
		throttle = find_throttle(l, store->name);
		if ((throttle != NULL && throttle->until != 0) || config_awaits_keys(store))
			names[n++] = store->name;
	}
	return n;
}

static bool
is_configured(const struct limits *l, const char *store)
{
	int i;

	for (i = 0; i < l->state->conf->nstores; i++)
		if (strcmp(l->state->conf->stores[i].name, store) == 0)
			return true;
	return false;
}

void
throttle_store(struct limits *l, const char *store)
{
	struct throttle *t, *found = NULL;
	int64_t now = clock_ms();

	for (t = l->throttles; t < l->throttles + CONFIG_STORES_MAX; t++) {
		if (strcmp(t->store, store) == 0) {
			found = t;
			break;
		}
		if (found == NULL && t->store[0] == '\0')
			found = t;
	}
	if (found == NULL || !is_configured(l, store) ||
	    (found->store[0] != '\0' && found->until > now))
		return; /* another transfer has told it already */
	strlcpy(found->store, store, sizeof(found->store));
	found->delay_ms = found->delay_ms == 0 ? THROTTLE_DELAY_MIN_MS : found->delay_ms * 2;
	if (found->delay_ms > THROTTLE_DELAY_MAX_MS)
		found->delay_ms = THROTTLE_DELAY_MAX_MS;
	found->until = now + found->delay_ms;
	figures_add(&l->state->figures.throttles, store, "", 1);
	log_warn("store %s asks to slow down: no new transfers with it for %d s", store,
	    (int)(found->delay_ms / 1000));
}

void
throttle_relax(struct limits *l, const struct slot *slot)
{
	struct throttle *t;

	for (t = l->throttles; t < l->throttles + CONFIG_STORES_MAX; t++)
		if (t->store[0] != '\0' && t->until == 0 &&
		    (strcmp(t->store, slot->uses[USE_SOURCE].name) == 0 ||
			strcmp(t->store, slot->uses[USE_DESTINATION].name) == 0))
			memset(t, 0, sizeof(*t));
}

int64_t
throttle_deadline(const struct limits *l)
{
	const struct throttle *t;
	int64_t at = 0;

	for (t = l->throttles; t < l->throttles + CONFIG_STORES_MAX; t++)
		at = clock_earlier(at, t->until);
	return at;
}

bool
throttle_run(struct limits *l)
{
	struct throttle *t;
	bool over = false;

	for (t = l->throttles; t < l->throttles + CONFIG_STORES_MAX; t++)
		if (t->until != 0 && t->until <= clock_ms()) {
			t->until = 0;
			over = true;
		}
	return over;
}
