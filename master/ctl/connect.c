/*
 * Finds the database, connects and sends statements.
 */
#include "master/ctl/ctl.h"

#include <confuse.h>
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/memory.h"
#include "common/db/db.h"

static void __attribute__((format(printf, 2, 0)))
print_config_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	char text[512];

	vsnprintf(text, sizeof(text), fmt, ap);
	warnx(
	    "%s:%d: %s", cfg->filename != NULL ? cfg->filename : "configuration", cfg->line, text);
}

/*
 * A parser for the setting "database" alone.  A check of the whole file would read the stores'
 * secrets, which a user of ferryctl need not be able to read.
 */
static cfg_t *
make_parser(void)
{
	cfg_opt_t anything[] = {
		CFG_STR("__unknown", NULL, CFGF_NONE),
		CFG_END(),
	};
	/* libConfuse skips unknown settings, but not unknown sections. */
	cfg_opt_t options[] = {
		CFG_STR("database", NULL, CFGF_NONE),
		CFG_SEC("worker", anything, CFGF_NONE),
		CFG_SEC("http", anything, CFGF_NONE),
		CFG_SEC("metrics", anything, CFGF_NONE),
		CFG_SEC("store", anything, CFGF_MULTI | CFGF_TITLE),
		CFG_STR("__unknown", NULL, CFGF_NONE),
		CFG_END(),
	};
	cfg_t *cfg = cfg_init(options, CFGF_IGNORE_UNKNOWN);

	if (cfg != NULL)
		cfg_set_error_function(cfg, print_config_error);
	return cfg;
}

/* Fills in *database, a heap string.  Returns 0, or an exit code after a message. */
static int
read_database(const char *file, char **database)
{
	cfg_t *cfg = make_parser();
	int code = EX_CONFIG;

	if (cfg == NULL) {
		warn("%s", file);
		return EX_OSERR;
	}
	switch (cfg_parse(cfg, file)) {
	case CFG_SUCCESS:
		if (cfg_getstr(cfg, "database") == NULL) {
			warnx(
			    "%s: no database is set; add database = \"host=... dbname=...\"", file);
		} else {
			*database = memory_strdup(cfg_getstr(cfg, "database"));
			code = 0;
		}
		break;
	case CFG_FILE_ERROR:
		warn("%s", file);
		warnx("use an account that may read it, name another with -f, or set "
		      "FERRYCTL_DATABASE");
		break;
	default: /* print_config_error() has printed the error */
		break;
	}
	cfg_free(cfg);
	return code;
}

static int
find_database(const struct ctl *ctl, char **database)
{
	const char *env = getenv("FERRYCTL_DATABASE");

	if (ctl->config_file != NULL)
		return read_database(ctl->config_file, database);
	if (env == NULL && (access(CTL_DEFAULT_FILE, F_OK) == 0 || errno != ENOENT))
		return read_database(CTL_DEFAULT_FILE, database);
	*database = memory_strdup(env != NULL ? env : "");
	return 0;
}

static void
print_notice(void *arg, const char *message)
{
	(void)arg;
	fprintf(stderr, "ferryctl: %s", message);
}

/* The time zone stays that of the user. */
static int
set_session(struct ctl *ctl)
{
	PGresult *res = PQexec(ctl->conn, db_session_for_people);
	bool set = db_error_class(res) == DB_ERR_NONE;

	if (!set)
		ctl_complain(res, "session");
	PQclear(res);
	return set ? 0 : ctl_exit_code(ctl);
}

int
ctl_connect(struct ctl *ctl)
{
	/* dbname holds the whole conninfo, which overrides the keywords in front of dbname. */
	const char *keywords[] = { "connect_timeout", "fallback_application_name", "dbname",
		"client_encoding", NULL };
	const char *values[] = { "10", "ferryctl", NULL, "UTF8", NULL };
	char *database = NULL;
	int code = find_database(ctl, &database);

	if (code != 0)
		return code;
	values[2] = database;
	ctl->conn = PQconnectdbParams(keywords, values, 1);
	explicit_bzero(database, strlen(database));
	free(database);
	if (PQstatus(ctl->conn) != CONNECTION_OK) {
		warnx("%.*s", (int)strcspn(PQerrorMessage(ctl->conn), "\n"),
		    PQerrorMessage(ctl->conn));
		warnx("\"ferryctl doctor\" says what would mend that");
		return EX_UNAVAILABLE;
	}
	PQsetNoticeProcessor(ctl->conn, print_notice, NULL);
	return ctl->leaves_no_trace ? 0 : set_session(ctl);
}

/* Whether a function of the schema has raised the error: it says itself what is not allowed. */
static bool
is_own_sentence(const PGresult *res)
{
	const char *function = PQresultErrorField(res, PG_DIAG_SOURCE_FUNCTION);

	return function != NULL && strcmp(function, "exec_stmt_raise") == 0;
}

void
ctl_complain(const PGresult *res, const char *what)
{
	char message[1024], clean[4096];

	db_error_message(res, message, sizeof(message));
	warnx("%s%s%s", what, *what != '\0' ? ": " : "",
	    ctl_clean(clean, sizeof(clean), message, CTL_WHOLE));
	switch (db_error_class(res)) {
	case DB_ERR_SCHEMA:
		warnx("the schema is missing or not up to date; \"ferryctl migrate\" mends that");
		break;
	case DB_ERR_ACCESS:
		if (is_own_sentence(res))
			break;
		warnx(
		    "this needs the role ferry_daemon (ferry_producer is enough for put, ls, show, "
		    "and cancel and retry of its own tasks)");
		break;
	default:
		break;
	}
}

PGresult *
ctl_query(struct ctl *ctl, const char *sql, int nparams, const char *const *params)
{
	PGresult *res = PQexecParams(ctl->conn, sql, nparams, NULL, params, NULL, NULL, 0);

	if (db_error_class(res) == DB_ERR_NONE)
		return res;
	if (!ctl->quiet || PQstatus(ctl->conn) == CONNECTION_OK)
		ctl_complain(res, "");
	PQclear(res);
	return NULL;
}

int64_t
ctl_number(const PGresult *res, int row, int column)
{
	return strtoll(PQgetvalue(res, row, column), NULL, 10);
}

int
ctl_exit_code(const struct ctl *ctl)
{
	return PQstatus(ctl->conn) == CONNECTION_OK ? CTL_FAILED : EX_UNAVAILABLE;
}
