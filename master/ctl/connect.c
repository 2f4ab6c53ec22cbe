/*
 * From ferryctl to the database: which one, and one statement at a time.
 */
#include <confuse.h>
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/db.h"
#include "master/ctl/ctl.h"

#define DEFAULT_FILE FERRY_SYSCONFDIR "/ferryd.conf"

static void __attribute__((format(printf, 2, 0)))
print_config_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	char text[512];

	vsnprintf(text, sizeof(text), fmt, ap);
	warnx(
	    "%s:%d: %s", cfg->filename != NULL ? cfg->filename : "configuration", cfg->line, text);
}

/*
 * Reads "database", and nothing else, from a configuration: whoever may use ferryctl need not be
 * able to read the stores' secrets that a check of the whole file would read.  Returns 0 or an exit
 * code.
 */
static int
read_database(const char *file, char **database)
{
	cfg_opt_t anything[] = {
	    CFG_STR("__unknown", NULL, CFGF_NONE),
	    CFG_END(),
	};
	/* libConfuse skips unknown settings, but loses its way in unknown sections: each is named
	 * here. */
	cfg_opt_t options[] = {
	    CFG_STR("database", NULL, CFGF_NONE),
	    CFG_SEC("worker", anything, CFGF_NONE),
	    CFG_SEC("http", anything, CFGF_NONE),
	    CFG_SEC("store", anything, CFGF_MULTI | CFGF_TITLE),
	    CFG_STR("__unknown", NULL, CFGF_NONE),
	    CFG_END(),
	};
	cfg_t *cfg = cfg_init(options, CFGF_IGNORE_UNKNOWN);
	int code = EX_CONFIG;

	if (cfg == NULL) {
		warn("%s", file);
		return EX_OSERR;
	}
	cfg_set_error_function(cfg, print_config_error);
	switch (cfg_parse(cfg, file)) {
	case CFG_SUCCESS:
		if (cfg_getstr(cfg, "database") == NULL) {
			warnx(
			    "%s: no database is set; database = \"host=... dbname=...\" is needed",
			    file);
		} else {
			*database = strdup(cfg_getstr(cfg, "database"));
			code = *database != NULL ? 0 : EX_OSERR;
		}
		break;
	case CFG_FILE_ERROR:
		warn("%s", file);
		break;
	default: /* print_config_error() has said it */
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
	if (env == NULL && (access(DEFAULT_FILE, F_OK) == 0 || errno != ENOENT))
		return read_database(DEFAULT_FILE, database);
	*database = strdup(env != NULL ? env : "");
	return *database != NULL ? 0 : EX_OSERR;
}

static void
print_notice(void *arg, const char *message)
{
	(void)arg;
	fprintf(stderr, "ferryctl: %s", message);
}

int
ctl_connect(struct ctl *ctl)
{
	/* What stands before dbname, which holds the whole conninfo, gives way to it. */
	const char *keywords[] = {
	    "connect_timeout", "fallback_application_name", "dbname", "client_encoding", NULL};
	const char *values[] = {"10", "ferryctl", NULL, "UTF8", NULL};
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
		return EX_UNAVAILABLE;
	}
	PQsetNoticeProcessor(ctl->conn, print_notice, NULL);
	return 0;
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
		warnx("is the schema there and up to date? \"ferryctl migrate\" sees to it");
		break;
	case DB_ERR_ACCESS:
		warnx("this needs a role that is granted ferry_daemon (or ferry_producer, to put "
		      "and to look)");
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

int
ctl_exit_code(const struct ctl *ctl)
{
	return PQstatus(ctl->conn) == CONNECTION_OK ? CTL_FAILED : EX_UNAVAILABLE;
}
