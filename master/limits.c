/*
 * Owns the notes on what slots use and the list of throttled stores.
 */
#include "master/limits.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "master/shares.h"

/* What the process was told of it for the task before still holds. */
static void
note_use(struct slot *slot, int i, const char *name)
{
	struct slot_use *use = &slot->uses[i];
	const struct slot_use *told = &slot->told[i];

	strlcpy(use->name, name, sizeof(use->name));
	use->rate_told = name[0] != '\0' && strcmp(told->name, name) == 0 ? told->rate_told : -1;
}

/* What is wrong with a URI is for the worker to say. */
static void
note_store(struct slot *slot, int i, const char *uri_text)
{
	char why[256];
	struct uri uri;

	note_use(slot, i, uri_parse(&uri, uri_text, why, sizeof(why)) == 0 ? uri.store : "");
}

void
limits_note_uses(struct slot *slot)
{
	struct slot_use *uses = slot->uses;

	note_store(slot, USE_SOURCE, slot->task->source);
	note_store(slot, USE_DESTINATION, slot->task->destination);
	if (strcmp(uses[USE_SOURCE].name, uses[USE_DESTINATION].name) == 0)
		uses[USE_DESTINATION].name[0] = '\0';
	note_use(slot, USE_QUEUE, slot->task->queue);
	shares_begin(slot);
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
limits_throttled(const struct master *m, const char **names)
{
	const struct throttle *throttle;
	int i, n = 0;

	for (i = 0; i < m->conf->nstores; i++) {
		throttle = find_throttle(m, m->conf->stores[i].name);
		if (throttle != NULL && throttle->until != 0)
			names[n++] = m->conf->stores[i].name;
	}
	return n;
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
		    (strcmp(t->store, slot->uses[USE_SOURCE].name) == 0 ||
			strcmp(t->store, slot->uses[USE_DESTINATION].name) == 0))
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
