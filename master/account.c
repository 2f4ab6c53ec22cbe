#include "master/account.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <mntent.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/keys/rights.h"

#define FSTAB "/etc/fstab"
#define TEXT_MAX (3 * CONFIG_PATH_MAX)

struct findings {
	const char *account; /* its name, for messages */
	account_tell *tell;
	void *arg;
};

static void __attribute__((format(printf, 3, 4)))
tell(const struct findings *f, enum account_weight weight, const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	f->tell(f->arg, weight, text);
}

static struct findings
make_findings(const struct config *conf, account_tell *teller, void *arg)
{
	const struct passwd *account = getpwuid(geteuid());

	return (struct findings){ account != NULL ? account->pw_name : conf->user, teller, arg };
}

static bool
may(const char *path, int mode)
{
	return faccessat(AT_FDCWD, path, mode, AT_EACCESS) == 0;
}

static bool
is_below(const char *path, const char *directory)
{
	size_t len = strlen(directory);

	return strncmp(path, directory, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

/* Whether a file system is mounted at path: its parent lies on another one. */
static bool
is_mounted(const char *path)
{
	char parent[CONFIG_PATH_MAX + 4];
	struct stat here, above;

	snprintf(parent, sizeof(parent), "%s/..", path);
	return stat(path, &here) == 0 && stat(parent, &above) == 0 && here.st_dev != above.st_dev;
}

/* Whether path lies where fstab has a file system that is not mounted yet. */
static bool
is_mount_awaited(const char *path)
{
	FILE *tab = setmntent(FSTAB, "re");
	const struct mntent *entry;
	bool awaited = false;

	while (tab != NULL && !awaited && (entry = getmntent(tab)) != NULL)
		awaited = entry->mnt_dir[0] == '/' && entry->mnt_dir[1] != '\0' &&
			  is_below(path, entry->mnt_dir) && !is_mounted(entry->mnt_dir);
	if (tab != NULL)
		endmntent(tab);
	return awaited;
}

/* A root that cannot be used: stat() or the account's access has failed with errno. */
static void
tell_root(const struct findings *f, const struct config_store *store)
{
	int err = errno;

	if (err == EACCES)
		tell(f, ACCOUNT_FAULT,
		    "store %s: the account %s cannot enter root %s: %s; let it read and enter the "
		    "directory and those above",
		    store->name, f->account, store->root, strerror(err));
	else if (is_mount_awaited(store->root))
		tell(f, ACCOUNT_WARNING,
		    "store %s: root %s: %s; %s mounts it or a directory above, and its tasks wait "
		    "for that",
		    store->name, store->root, strerror(err), FSTAB);
	else
		tell(f, ACCOUNT_FAULT,
		    "store %s: root %s: %s; make the directory for the account %s, or correct root",
		    store->name, store->root, strerror(err), f->account);
}

static void
check_root(const struct findings *f, const struct config_store *store)
{
	struct stat st;

	if (stat(store->root, &st) == -1) {
		tell_root(f, store);
	} else if (!S_ISDIR(st.st_mode)) {
		tell(f, ACCOUNT_FAULT,
		    "store %s: root %s is not a directory; name the directory that holds the "
		    "objects",
		    store->name, store->root);
	} else if (!may(store->root, X_OK)) {
		tell_root(f, store);
	} else if (!may(store->root, W_OK)) {
		tell(f, ACCOUNT_NOTE,
		    "store %s: the account %s can read root %s and not write it (%s), so that no "
		    "task can end there; if some are to, chown the directory, and under systemd "
		    "set ReadWritePaths=%s",
		    store->name, f->account, store->root, strerror(errno), store->root);
	}
}

static void
check_store(const struct findings *f, const struct config_store *store)
{
	char why[2 * CONFIG_PATH_MAX];

	if (store->kind == STORE_FILE) {
		check_root(f, store);
		return;
	}
	if (!rights_suffice(store, f->account, why, sizeof(why)))
		tell(f, ACCOUNT_WARNING, "%s", why);
	if (store->ca_file[0] != '\0' && !may(store->ca_file, R_OK))
		tell(f, ACCOUNT_FAULT,
		    "store %s: the account %s cannot read ca_file %s: %s; chmod 644 the file, in "
		    "directories that the account may enter",
		    store->name, f->account, store->ca_file, strerror(errno));
}

void
account_check(const struct config *conf, account_tell *teller, void *arg)
{
	const struct findings f = make_findings(conf, teller, arg);
	int i;

	if (!may(conf->file, R_OK))
		tell(&f, ACCOUNT_WARNING,
		    "the account %s cannot read %s (%s), so that a reload by SIGHUP will be "
		    "refused; chgrp %s and chmod 640 the file, in directories that the account may "
		    "enter",
		    f.account, conf->file, strerror(errno), f.account);
	for (i = 0; i < conf->nstores; i++)
		check_store(&f, &conf->stores[i]);
}

/* The log is opened as the account, and made if it is missing. */
static void
check_log(const struct findings *f, const char *path)
{
	char copy[CONFIG_PATH_MAX];
	const char *directory;

	if (may(path, W_OK))
		return;
	if (errno != ENOENT) {
		tell(f, ACCOUNT_WARNING,
		    "log %s: the account %s cannot write it: %s; chown it to %s", path, f->account,
		    strerror(errno), f->account);
		return;
	}
	strlcpy(copy, path, sizeof(copy));
	directory = dirname(copy);
	if (!may(directory, W_OK | X_OK))
		tell(f, ACCOUNT_WARNING,
		    "log %s: the account %s cannot make it in %s: %s; make the directory and chown "
		    "it to %s",
		    path, f->account, directory, strerror(errno), f->account);
}

/* Root may write the pid file where the account may not. */
static void
check_pidfile(const struct findings *f, const char *path)
{
	char copy[CONFIG_PATH_MAX];
	const char *directory;

	strlcpy(copy, path, sizeof(copy));
	directory = dirname(copy);
	if (!may(directory, F_OK))
		tell(f, ACCOUNT_NOTE,
		    "pidfile %s: %s: %s; the unit and the init script make /run/ferryd, and no "
		    "other directory",
		    path, directory, strerror(errno));
}

void
account_check_opened(const struct config *conf, bool foreground, account_tell *teller, void *arg)
{
	const struct findings f = make_findings(conf, teller, arg);
	char roots[CONFIG_STORES_MAX * CONFIG_PATH_MAX] = "";
	int i;

	check_pidfile(&f, conf->pidfile);
	if (!foreground && conf->log[0] == '/')
		check_log(&f, conf->log);
	for (i = 0; i < conf->nstores; i++) {
		if (conf->stores[i].kind != STORE_FILE)
			continue;
		strlcat(roots, " ", sizeof(roots));
		strlcat(roots, conf->stores[i].root, sizeof(roots));
	}
	if (roots[0] != '\0')
		tell(&f, ACCOUNT_NOTE,
		    "under systemd, files are read-only for ferryd: \"systemctl edit ferryd\", and "
		    "below [Service] set ReadWritePaths=%s",
		    roots + 1);
}
