/*
 * ferryctl: what its commands share.  A command runs once and ends the program, so it may wait for the database, unlike
 * everything else in this project, and its connection is a plain one.
 *
 * What a command prints comes from rows that anybody may have written: every string goes through ctl_clean(), every
 * source through uri_redact() first.
 */
#ifndef MASTER_CTL_CTL_H
#define MASTER_CTL_CTL_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CTL_FAILED 1 /* exit code: the thing asked for did not succeed */
#define CTL_TEXT_MAX (8192 * 4 + 1)

struct ctl {
	const char *config_file; /* -f, or NULL */
	const struct ctl_command *command;
	PGconn *conn;
	bool quiet; /* ctl_query() says nothing about a lost connection */
};

struct ctl_command {
	const char *name;
	const char *arguments;
	const char *summary;
	const char *options; /* lines for --help, or NULL where arguments says it all */
	/*
	 * argv[0] is what it calls itself when it complains, "ferryctl NAME".  Returns the exit code; CTL_USAGE asks main() to print
	 * the command's usage.
	 */
	int (*run)(struct ctl *ctl, int argc, char **argv);
};
#define CTL_USAGE (-1)

/* The commands. */
int ctl_migrate(struct ctl *ctl, int argc, char **argv);
int ctl_put(struct ctl *ctl, int argc, char **argv);
extern const char ctl_put_options[];
int ctl_ls(struct ctl *ctl, int argc, char **argv);
int ctl_show(struct ctl *ctl, int argc, char **argv);
int ctl_cancel(struct ctl *ctl, int argc, char **argv);
int ctl_retry(struct ctl *ctl, int argc, char **argv);
int ctl_priority(struct ctl *ctl, int argc, char **argv);
int ctl_pause(struct ctl *ctl, int argc, char **argv);
int ctl_resume(struct ctl *ctl, int argc, char **argv);
int ctl_reap(struct ctl *ctl, int argc, char **argv);

/*
 * Finds the database's address (the file of -f, $FERRYCTL_DATABASE, the default configuration file, libpq's environment)
 * and connects.  Returns 0, or an exit code after it has said why.
 */
int ctl_connect(struct ctl *ctl);

/*
 * Sends one statement with text parameters.  Returns its result, or NULL after it has said why not; then
 * ctl_exit_code() is what to exit with.
 */
PGresult *ctl_query(struct ctl *ctl, const char *sql, int nparams, const char *const *params);
int ctl_exit_code(const struct ctl *ctl);

/* Says that what failed, because of the error in res, with a hint on what to do. */
void ctl_complain(const PGresult *res, const char *what);

/* Follows the task until it is finished; progress on a terminal.  Returns 0 for done, CTL_FAILED for anything else. */
int ctl_wait(struct ctl *ctl, const char *id);

/* Checks that s is the id of a task.  Returns 0, or -1 after it has said so. */
int ctl_check_id(const char *s);

/* s with control characters replaced by '?', at most so many columns of a terminal; what is too long loses its head ("…"). */
char *ctl_clean(char *buf, size_t size, const char *s, size_t columns);
#define CTL_WHOLE ((size_t)-1)

/* Columns that s takes on a terminal. */
size_t ctl_width(const char *s);

/* Prints s, padded with blanks to so many columns. */
void ctl_pad(const char *s, size_t columns);

#endif
