#include "worker/session/keys.h"

#include <string.h>

#include "common/base/clock.h"
#include "worker/sign/sign.h"

/* A command may take half a minute. */
#define ANSWER_MS 40000

/* The master's word that there are no newer keys counts for so long. */
#define TOLD_MS 5000

#define LOOK_MIN_MS 100
#define LOOK_MAX_MS 2000

static void
take_into(struct setup *setup, const struct msg_keys *keys, int64_t now)
{
	struct store *store;
	int i;

	for (i = 0; setup != NULL && i < setup->received; i++) {
		store = &setup->stores[i];
		if (strcmp(store->conf.name, keys->store) != 0)
			continue;
		store->asked_at = 0;
		if (strcmp(store->conf.endpoint, keys->endpoint) == 0 &&
		    config_set_keys(&store->conf, &keys->keys)) {
			store->keys_serial++;
			store->told_at = 0;
		} else {
			store->told_at = now;
		}
	}
}

void
keys_take(struct worker *w, const struct msg_keys *keys)
{
	int64_t now = clock_ms();

	take_into(w->setup, keys, now);
	take_into(w->incoming, keys, now);
	sign_forget_keys();
}

enum keys_verdict
keys_judge(const struct store *store, uint64_t serial, int64_t now)
{
	if (!config_renews_keys(&store->conf))
		return KEYS_REFUSED;
	if (serial != store->keys_serial)
		return KEYS_RENEWED;
	if (store->asked_at != 0)
		return now - store->asked_at < ANSWER_MS ? KEYS_AWAITED : KEYS_REFUSED;
	if (store->told_at != 0 && now - store->told_at < TOLD_MS)
		return KEYS_REFUSED;
	return KEYS_ASK;
}

int64_t
keys_look_ms(const struct store *store, int64_t now)
{
	int64_t since = now - store->asked_at;

	if (since < LOOK_MIN_MS)
		return LOOK_MIN_MS;
	return since < LOOK_MAX_MS ? since : LOOK_MAX_MS;
}
