#include "master/keys/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "master/pool/outbox.h"

#define LOOK_MS 5000 /* at files */
#define SETTLE_MS 1000 /* for so long a file must not change before it is read */
#define REFUSED_MS 5000 /* a command that has just run is not asked again for a refusal */
#define DELAY_MIN_MS 1000
#define DELAY_MAX_MS 60000
#define MARGIN_S 300 /* before keys expire, or half of the time that they have */

static struct config_store *
find_store(const struct keys *k, const char *name)
{
	struct config *conf = k->state->conf;
	const struct config_store *store = config_find_store(conf, name);

	return store != NULL ? &conf->stores[store - conf->stores] : NULL;
}

static struct renewal *
find_renewal(const struct keys *k, const char *store)
{
	struct renewal *r;

	TAILQ_FOREACH (r, &k->list, entry)
		if (!r->dropped && strcmp(r->store, store) == 0)
			return r;
	return NULL;
}

/* What the log calls the origin of the keys. */
static const char *
origin(const struct config_store *store)
{
	struct config_key_file files[CONFIG_KEY_FILES];

	if (store->ncredentials_command > 0)
		return store->credentials_command[0];
	return config_key_files(store, files) > 0 ? files[0].path : "its configuration";
}

static void
send_keys(const struct keys *k, const struct config_store *store)
{
	struct msg msg = { .type = MSG_KEYS };
	struct slot *slot;

	strlcpy(msg.keys.store, store->name, sizeof(msg.keys.store));
	strlcpy(msg.keys.endpoint, store->endpoint, sizeof(msg.keys.endpoint));
	config_get_keys(store, &msg.keys.keys);
	POOL_FOREACH (slot, k->pool)
		if (slot_is_live(slot))
			outbox_send(slot, &msg, -1);
	explicit_bzero(&msg, sizeof(msg));
}

/* An access key is no secret, but the beginning is enough to tell it from others. */
static void
log_new(const struct config_store *store)
{
	size_t len = strlen(store->access_key), shown = len / 2 < 12 ? len / 2 : 12;
	char until[32] = "";

	if (store->keys_expire != 0)
		clock_write_time(until, sizeof(until), store->keys_expire);
	log_info("store %s: new keys (access key %.*s..., %s%s)", store->name, (int)shown,
	    store->access_key, until[0] != '\0' ? "valid until " : "without an end", until);
}

/* A renewal has ended: workers that wait get an answer. */
static void
answer(struct keys *k, struct renewal *r, const struct config_store *store, bool changed)
{
	if (changed || r->asked)
		send_keys(k, store);
	r->asked = false;
	k->state->agenda.probe |= changed;
}

/* Puts keys in force that were read or given. */
static void
take(struct keys *k, struct renewal *r, const struct store_keys *keys)
{
	struct config_store *store = find_store(k, r->store);
	bool changed = config_set_keys(store, keys);

	if (changed) {
		log_new(store);
		agenda_claim(&k->state->agenda); /* tasks may have waited for the first keys */
	} else if (r->complaint[0] != '\0') {
		log_info("store %s: %s gives keys again, the ones that are in use", r->store,
		    origin(store));
	}
	r->complaint[0] = '\0';
	answer(k, r, store, changed);
}

/* Logs once why the keys cannot be renewed. */
static void
complain(struct keys *k, struct renewal *r, const char *why)
{
	const struct config_store *store = find_store(k, r->store);
	const char *stay = store->access_key[0] != '\0'
			       ? "the old keys stay in use"
			       : "tasks of this store wait until there are keys";

	if (strcmp(r->complaint, why) != 0)
		log_error("store %s: %s; %s", r->store, why, stay);
	strlcpy(r->complaint, why, sizeof(r->complaint));
	answer(k, r, store, false);
}

static void
warn_expired(struct renewal *r, const struct config_store *store)
{
	char until[32];

	if (store->keys_expire == 0 || store->keys_expire > clock_wall() ||
	    r->expired == store->keys_expire)
		return;
	r->expired = store->keys_expire;
	clock_write_time(until, sizeof(until), store->keys_expire);
	log_warn("store %s: its keys expired at %s, and %s has no newer ones; whoever writes it "
		 "must renew them",
	    store->name, until, origin(store));
}

static void
read_files(struct keys *k, struct renewal *r, const struct config_store *store)
{
	struct store_keys keys;
	char why[512];

	r->settled_at = 0;
	if (config_read_keys(store, &keys, why, sizeof(why)) == -1)
		complain(k, r, why);
	else
		take(k, r, &keys);
	explicit_bzero(&keys, sizeof(keys));
}

/* Looks whether the files have changed, and reads them once they stay as they are. */
static void
look(struct keys *k, struct renewal *r, const struct config_store *store)
{
	int64_t now = clock_ms();
	struct stamp stamp;

	stamp_take(&stamp, store);
	if (!stamp_is_same(&stamp, &r->seen)) {
		r->seen = stamp;
		r->settled_at = now + SETTLE_MS;
	}
	if (r->settled_at != 0 && r->settled_at <= now)
		read_files(k, r, store);
	else if (r->settled_at == 0)
		answer(k, r, store, false);
	warn_expired(r, store);
	r->due_at = r->settled_at != 0 ? r->settled_at : now + LOOK_MS;
}

static void
fail_command(struct keys *k, struct renewal *r, const struct config_store *store, const char *what)
{
	char why[640];

	snprintf(why, sizeof(why),
	    "credentials_command %s %s; run it as the account of ferryd to see why",
	    store->credentials_command[0], what);
	r->delay_ms = r->delay_ms == 0 ? DELAY_MIN_MS : r->delay_ms * 2;
	if (r->delay_ms > DELAY_MAX_MS)
		r->delay_ms = DELAY_MAX_MS;
	r->due_at = clock_ms() + r->delay_ms;
	complain(k, r, why);
}

/* When the command is asked again for keys that it has just given; 0: it need not be. */
static int64_t
renew_at(int64_t expires)
{
	int64_t left = expires - clock_wall(), margin = left / 2 < MARGIN_S ? left / 2 : MARGIN_S;

	if (expires == 0)
		return 0;
	return clock_ms() + (left - margin > 1 ? left - margin : 1) * 1000;
}

static void
end_command(struct keys *k, struct renewal *r, const struct config_store *store)
{
	struct store_keys keys;
	char why[160], until[32];

	switch (command_look(&r->command, &keys, why, sizeof(why))) {
	case COMMAND_RUNS:
		return;
	case COMMAND_FAILED:
		break;
	case COMMAND_DONE:
		r->ended_at = clock_ms();
		if (store == NULL)
			break;
		if (keys.expires == 0 || keys.expires > clock_wall()) {
			r->delay_ms = 0;
			r->due_at = renew_at(keys.expires);
			take(k, r, &keys);
			explicit_bzero(&keys, sizeof(keys));
			return;
		}
		clock_write_time(until, sizeof(until), keys.expires);
		snprintf(why, sizeof(why), "gave keys that expired at %s", until);
	}
	explicit_bzero(&keys, sizeof(keys));
	r->ended_at = clock_ms();
	if (store != NULL)
		fail_command(k, r, store, why);
}

static void
start_command(struct keys *k, struct renewal *r, const struct config_store *store)
{
	char why[160];

	r->due_at = 0;
	if (command_start(&r->command, store, k->pool->null_fd, why, sizeof(why)) == 0)
		return;
	r->ended_at = clock_ms();
	fail_command(k, r, store, why);
}

/* Returns false if the renewal is over for good. */
static bool
run(struct keys *k, struct renewal *r)
{
	const struct config_store *store = r->dropped ? NULL : find_store(k, r->store);

	if (command_runs(&r->command))
		end_command(k, r, store);
	if (store == NULL)
		return command_runs(&r->command);
	if (r->due_at == 0 || r->due_at > clock_ms() || command_runs(&r->command))
		return true;
	if (store->ncredentials_command > 0)
		start_command(k, r, store);
	else
		look(k, r, store);
	return true;
}

void
keys_run(struct keys *k)
{
	struct renewal *r, *next;

	TAILQ_FOREACH_SAFE (r, &k->list, entry, next)
		if (!run(k, r)) {
			TAILQ_REMOVE(&k->list, r, entry);
			free(r);
		}
}

int64_t
keys_deadline(const struct keys *k)
{
	const struct renewal *r;
	int64_t at = 0;

	TAILQ_FOREACH (r, &k->list, entry)
		at = clock_earlier(at, command_runs(&r->command) ? r->command.ends_at : r->due_at);
	return at;
}

nfds_t
keys_fill(const struct keys *k, struct pollfd *fds, nfds_t max)
{
	const struct renewal *r;
	nfds_t n = 0;

	TAILQ_FOREACH (r, &k->list, entry)
		if (n < max && command_fd(&r->command) != -1)
			fds[n++] =
			    (struct pollfd){ .fd = command_fd(&r->command), .events = POLLIN };
	return n;
}

bool
keys_have_process(const struct keys *k, pid_t pid)
{
	const struct renewal *r;

	TAILQ_FOREACH (r, &k->list, entry)
		if (r->command.pid == pid)
			return true;
	return false;
}

void
keys_refused(struct keys *k, const char *name)
{
	const struct config_store *store = find_store(k, name);
	struct renewal *r = find_renewal(k, name);
	int64_t now = clock_ms();

	if (store == NULL)
		return;
	if (r == NULL) {
		send_keys(k, store);
		return;
	}
	r->asked = true;
	if (command_runs(&r->command))
		return;
	if (store->ncredentials_command > 0 && r->ended_at != 0 && r->ended_at + REFUSED_MS > now)
		answer(k, r, store, false);
	else if (r->settled_at == 0)
		r->due_at = now;
}

/* Whether the same command gives the keys of both. */
static bool
has_same_command(const struct config_store *a, const struct config_store *b)
{
	return a->ncredentials_command == b->ncredentials_command &&
	       memcmp(a->credentials_command, b->credentials_command,
		   sizeof(a->credentials_command)) == 0;
}

static void
drop(struct renewal *r)
{
	r->dropped = true;
	if (command_runs(&r->command))
		command_kill(&r->command);
}

/* Drops the renewals of stores that are gone, or whose command is another. */
static void
drop_strangers(struct keys *k, const struct config *old)
{
	const struct config_store *is, *was;
	struct renewal *r;

	TAILQ_FOREACH (r, &k->list, entry) {
		if (r->dropped)
			continue;
		is = find_store(k, r->store);
		was = config_find_store(old, r->store);
		if (is == NULL || !config_renews_keys(is) || !has_same_command(is, was))
			drop(r);
	}
}

/*
 * A reload has read files anew.  Until a command has given keys, the old ones stay in force, unless
 * the store is another one now.
 */
static void
take_over(const struct keys *k, struct config_store *store, const struct config_store *was)
{
	struct store_keys before, now;

	config_get_keys(was, &before);
	if (config_awaits_keys(store) && strcmp(store->endpoint, was->endpoint) == 0)
		config_set_keys(store, &before);
	config_get_keys(store, &now);
	if (memcmp(&before, &now, sizeof(now)) != 0 && now.access_key[0] != '\0')
		log_new(store);
	explicit_bzero(&before, sizeof(before));
	explicit_bzero(&now, sizeof(now));
	send_keys(k, store);
}

void
keys_follow(struct keys *k, const struct config *old)
{
	struct config_store *store, *end = k->state->conf->stores + k->state->conf->nstores;
	const struct config_store *was;
	struct renewal *r;

	if (old != NULL)
		drop_strangers(k, old);
	for (store = k->state->conf->stores; store < end; store++) {
		was = old != NULL ? config_find_store(old, store->name) : NULL;
		if (was != NULL)
			take_over(k, store, was);
		if (!config_renews_keys(store))
			continue;
		r = find_renewal(k, store->name);
		if (r == NULL) {
			r = memory_alloc(sizeof(*r));
			strlcpy(r->store, store->name, sizeof(r->store));
			TAILQ_INSERT_TAIL(&k->list, r, entry);
		}
		r->due_at = clock_ms();
	}
}

void
keys_init(struct keys *k)
{
	TAILQ_INIT(&k->list);
}

void
keys_release(struct keys *k)
{
	struct renewal *r;

	while ((r = TAILQ_FIRST(&k->list)) != NULL) {
		drop(r);
		TAILQ_REMOVE(&k->list, r, entry);
		free(r);
	}
}
