#include "master/keys/rights.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool
rights_suffice(const struct config_store *store, const char *account, char *why, size_t why_size)
{
	struct config_key_file files[CONFIG_KEY_FILES];
	const char *program = store->credentials_command[0];
	int i, n = config_key_files(store, files);

	for (i = 0; i < n; i++) {
		if (faccessat(AT_FDCWD, files[i].path, R_OK, AT_EACCESS) == 0)
			continue;
		snprintf(why, why_size,
		    "store %s: the account %s cannot read %s (%s), so new keys in it need a "
		    "restart; chgrp %s and chmod 640 the file, in directories that the account "
		    "may enter",
		    store->name, account, files[i].path, strerror(errno), account);
		return false;
	}
	if (*program == '\0' || faccessat(AT_FDCWD, program, X_OK, AT_EACCESS) == 0)
		return true;
	snprintf(why, why_size,
	    "store %s: the account %s cannot execute %s (%s), so the store gets no keys; chmod 755 "
	    "the program, in directories that the account may enter",
	    store->name, account, program, strerror(errno));
	return false;
}
