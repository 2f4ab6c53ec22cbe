/*
 * ferryctl: what its commands share.  A command runs once and ends the program, so its connection
 * simply waits for the database.
 *
 * Any producer may have written the rows that a command prints.  Every string goes through
 * ctl_clean(), and every URI through uri_redact() first.
 */
#ifndef MASTER_CTL_CTL_H
#define MASTER_CTL_CTL_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CTL_DEFAULT_FILE FERRY_SYSCONFDIR "/ferryd.conf"
#define CTL_FAILED 1 /* the exit code of a command that did not succeed */
#define CTL_USAGE (-1) /* a command's answer to wrong arguments */
#define CTL_TEXT_MAX (8192 * 4 + 1) /* bytes of the longest text after ctl_clean() */

struct ctl {
	const char *config_file; /* -f, or NULL */
	const struct ctl_command *command;
	PGconn *conn;
	bool quiet; /* ctl_query() does not report a lost connection */
	bool leaves_no_trace; /* ctl_connect() sets nothing: the command does, in a transaction */
};

struct ctl_command {
	const char *name;
	const char *arguments;
	const char *summary;
	const char *options; /* lines for --help, or NULL */
	/* argv[0] is "ferryctl NAME", for messages.  Returns the exit code, or CTL_USAGE. */
	int (*run)(struct ctl *ctl, int argc, char **argv);
};

/* The commands. */
int ctl_migrate(struct ctl *ctl, int argc, char **argv);
int ctl_put(struct ctl *ctl, int argc, char **argv);
extern const char ctl_put_options[];
int ctl_ls(struct ctl *ctl, int argc, char **argv);
extern const char ctl_ls_options[];
int ctl_show(struct ctl *ctl, int argc, char **argv);
extern const char ctl_show_options[];
int ctl_status(struct ctl *ctl, int argc, char **argv);
extern const char ctl_status_options[];
int ctl_watch(struct ctl *ctl, int argc, char **argv);
int ctl_cancel(struct ctl *ctl, int argc, char **argv);
int ctl_retry(struct ctl *ctl, int argc, char **argv);
int ctl_priority(struct ctl *ctl, int argc, char **argv);
int ctl_pause(struct ctl *ctl, int argc, char **argv);
extern const char ctl_pause_options[];
int ctl_resume(struct ctl *ctl, int argc, char **argv);
int ctl_reap(struct ctl *ctl, int argc, char **argv);
int ctl_doctor(struct ctl *ctl, int argc, char **argv);
extern const char ctl_doctor_options[];

/*
 * Connects to the database of the file of -f, else of $FERRYCTL_DATABASE, else of the default
 * configuration, else of libpq's environment.  Returns 0, or an exit code after a message.
 */
int ctl_connect(struct ctl *ctl);

/* Sends a statement with parameters as text.  Returns its result, or NULL after a message. */
PGresult *ctl_query(struct ctl *ctl, const char *sql, int nparams, const char *const *params);

/* The exit code after ctl_query() returned NULL. */
int ctl_exit_code(const struct ctl *ctl);

/* Prints the error in res, with what failed in front of it and a hint behind it. */
void ctl_complain(const PGresult *res, const char *what);

/* A number of a result. */
int64_t ctl_number(const PGresult *res, int row, int column);

/*
 * Waits for the end of a task, and shows its progress on a terminal.  Returns the exit code: 0 if
 * the task is done.
 */
int ctl_wait(struct ctl *ctl, const char *id);

/* Whether s is a task's id.  Returns 0, or -1 after a message. */
int ctl_check_id(const char *s);

/*
 * Copies s with a '?' for each character that cannot be printed.  Returns buf.  A text of more than
 * so many columns of a terminal loses its beginning ("…").
 */
char *ctl_clean(char *buf, size_t size, const char *s, size_t columns);
#define CTL_WHOLE ((size_t)-1)

/* Likewise, but a text that is too wide loses its end. */
char *ctl_clip(char *buf, size_t size, const char *s, size_t columns);

/* Copies a URI for the terminal: redacted and cleaned.  Returns buf. */
char *ctl_clean_uri(char *buf, size_t size, const char *uri);

/* The columns that s takes on a terminal. */
size_t ctl_width(const char *s);

/* Prints s and pads it with blanks to so many columns. */
void ctl_pad(const char *s, size_t columns);

#endif
