/*
 * The password file.  libpq ignores a file that others may read.  libpq says so on standard
 * error only, which a daemon does not have.
 */
#include "common/db/private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Returns false if there is none. */
static bool
find_file(const struct db *db, char *path, size_t size)
{
	const char *given = db_conninfo_value(db, "passfile"), *home = getenv("HOME");

	if (given != NULL)
		strlcpy(path, given, size);
	else if (home != NULL)
		snprintf(path, size, "%s/.pgpass", home);
	return given != NULL || home != NULL;
}

void
db_passfile_explain(const struct db *db, char *why, size_t size)
{
	char path[4096];
	struct stat st;
	size_t len = strlen(why);

	if (db_conninfo_value(db, "password") != NULL || !find_file(db, path, sizeof(path)) ||
	    stat(path, &st) == -1)
		return;
	if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		snprintf(why + len, size - len,
		    "; libpq ignores the password file %s, since others may read or change it: "
		    "\"chmod 600\" mends that",
		    path);
	else if (access(path, R_OK) == -1)
		snprintf(why + len, size - len, "; the password file %s cannot be read: %s", path,
		    strerror(errno));
}
