/*
 * Whether the account that ferryd becomes may read the files that it reads again, and run the
 * commands that it runs.
 */
#ifndef MASTER_KEYS_RIGHTS_H
#define MASTER_KEYS_RIGHTS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/config/config.h"

/*
 * Whether this process, as the account that it now is, can renew the keys of the store.  If not,
 * why says what is wrong and what would be right.  account is the account's name.
 */
bool rights_suffice(
    const struct config_store *store, const char *account, char *why, size_t why_size);

#endif
