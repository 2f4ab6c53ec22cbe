/*
 * ferryctl doctor: looks from outside at all that ferryd needs.  One line a finding.
 */
#include "master/ctl/doctor.h"

#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char ctl_doctor_options[] =
    "  --json      print a JSON array of objects with check, level and text\n"
    "  --write     also begin and abort an upload in each store, or make and remove a file\n"
    "A STORE://BUCKET, or STORE://BUCKET/KEY, says where to look in that store.\n";

/* A line of ferryd -t.  "FILE: ok" is told by its exit code, too. */
static void
take_test(struct doctor *d, char *line)
{
	if (strncmp(line, "fault: ", 7) == 0)
		doctor_tell(d, DOCTOR_FAIL, "configuration", "%s", line + 7);
	else if (strncmp(line, "note: ", 6) == 0)
		doctor_tell(d, DOCTOR_OK, "configuration", "%s", line + 6);
	else if (strncmp(line, "warning: ", 9) == 0)
		doctor_tell(d, DOCTOR_WARN, "configuration", "%s", line + 9);
	else if (strstr(line, ": warning: ") != NULL)
		doctor_tell(d, DOCTOR_WARN, "configuration", "%s", line);
}

/* ferryd itself judges the file, as the account that will run. */
static void
check_configuration(struct doctor *d)
{
	char path[CONFIG_PATH_MAX], program[] = "ferryd", test[] = "-td", option[] = "-f",
				    why[1024], file[CONFIG_PATH_MAX];
	char *argv[] = { program, test, option, file, NULL };
	struct doctor_program ferryd = { .name = "configuration",
		.path = doctor_beside("ferryd", path, sizeof(path)),
		.argv = argv,
		.channel = -1,
		.errors = true };
	int code;

	strlcpy(file, d->file, sizeof(file));
	if ((d->conf = config_load(d->file, why, sizeof(why))) == NULL) {
		doctor_tell(d, DOCTOR_FAIL, "configuration", "%s", why);
		return;
	}
	code = doctor_run(d, &ferryd, take_test);
	if (code == 0)
		doctor_tell(d, DOCTOR_OK, "configuration", "%s is good", d->file);
	else if (code != -1 && d->worst < DOCTOR_FAIL)
		doctor_tell(d, DOCTOR_FAIL, "configuration",
		    "\"ferryd -t -f %s\" exits with %d; run it to see why", d->file, code);
}

/*
 * From here on this process judges as the account of the daemon: its role, its password file, its
 * rights to files.
 */
static void
become_account(struct doctor *d)
{
	const struct passwd *account;

	if (geteuid() != 0 || d->conf == NULL || (account = getpwnam(d->conf->user)) == NULL)
		return;
	if (initgroups(account->pw_name, account->pw_gid) == -1 ||
	    setresgid(account->pw_gid, account->pw_gid, account->pw_gid) == -1 ||
	    setresuid(account->pw_uid, account->pw_uid, account->pw_uid) == -1) {
		doctor_tell(d, DOCTOR_FAIL, "account", "becoming %s: %s; run this as root",
		    account->pw_name, strerror(errno));
		return;
	}
	setenv("HOME", account->pw_dir, 1);
	doctor_tell(d, DOCTOR_OK, "account", "what follows is judged as %s", account->pw_name);
}

static int
examine(struct doctor *d)
{
	const char *env = getenv("FERRYCTL_DATABASE");

	d->file = d->ctl->config_file != NULL ? d->ctl->config_file : CTL_DEFAULT_FILE;
	if (d->ctl->config_file != NULL || env == NULL || access(d->file, F_OK) == 0)
		check_configuration(d);
	else
		doctor_tell(d, DOCTOR_WARN, "configuration",
		    "there is no %s: only the database is looked at; name the file with -f",
		    d->file);
	become_account(d);
	if (d->conf != NULL)
		doctor_database(d, d->conf->worker.database);
	else if (env != NULL)
		doctor_database(d, env);
	if (d->conf != NULL) {
		doctor_machine(d);
		doctor_stores(d);
	}
	if (d->json)
		printf("\n]\n");
	config_free(d->conf);
	return d->worst == DOCTOR_FAIL ? CTL_FAILED : 0;
}

int
ctl_doctor(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "write", no_argument, NULL, 'w' },
		{ NULL, 0, NULL, 0 },
	};
	struct doctor d = { .ctl = ctl };
	int c, i;

	while ((c = getopt_long(argc, argv, "jw", options, NULL)) != -1) {
		if (c == 'j')
			d.json = true;
		else if (c == 'w')
			d.write = true;
		else
			return CTL_USAGE;
	}
	d.uris = argv + optind;
	d.nuris = argc - optind;
	for (i = 0; i < d.nuris; i++) {
		if (strstr(d.uris[i], "://") == NULL) {
			warnx("\"%s\" is no URI: write STORE://BUCKET", d.uris[i]);
			return CTL_USAGE;
		}
	}
	return examine(&d);
}
