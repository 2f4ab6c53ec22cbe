/*
 * The keys of a store: those in force, and where they come from.
 */
#include <string.h>

#include "common/config/config.h"

#define NELEM(a) (sizeof(a) / sizeof((a)[0]))

void
config_get_keys(const struct config_store *store, struct store_keys *keys)
{
	memset(keys, 0, sizeof(*keys));
	strlcpy(keys->access_key, store->access_key, sizeof(keys->access_key));
	strlcpy(keys->secret_key, store->secret_key, sizeof(keys->secret_key));
	strlcpy(keys->session_token, store->session_token, sizeof(keys->session_token));
	keys->expires = store->keys_expire;
}

bool
config_set_keys(struct config_store *store, const struct store_keys *keys)
{
	struct store_keys old;
	bool differ;

	config_get_keys(store, &old);
	differ = memcmp(&old, keys, sizeof(old)) != 0;
	explicit_bzero(&old, sizeof(old));
	memcpy(store->access_key, keys->access_key, sizeof(store->access_key));
	memcpy(store->secret_key, keys->secret_key, sizeof(store->secret_key));
	memcpy(store->session_token, keys->session_token, sizeof(store->session_token));
	store->keys_expire = keys->expires;
	return differ;
}

int
config_key_files(const struct config_store *store, struct config_key_file files[CONFIG_KEY_FILES])
{
	const struct config_key_file all[CONFIG_KEY_FILES] = {
		{ "access_key_file", store->access_key_file },
		{ "secret_key_file", store->secret_key_file },
		{ "session_token_file", store->session_token_file },
		{ "credentials_file", store->credentials_file },
	};
	int n = 0;
	size_t i;

	for (i = 0; i < NELEM(all); i++)
		if (all[i].path[0] != '\0')
			files[n++] = all[i];
	return n;
}

bool
config_renews_keys(const struct config_store *store)
{
	struct config_key_file files[CONFIG_KEY_FILES];

	return store->ncredentials_command > 0 || config_key_files(store, files) > 0;
}

bool
config_awaits_keys(const struct config_store *store)
{
	return store->ncredentials_command > 0 && store->access_key[0] == '\0';
}
