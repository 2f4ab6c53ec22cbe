/*
 * What every session states for itself, so that no setting of the server, the database or the role
 * changes what a statement means.
 */
#include "common/db/private.h"

/*
 * Name and value of each setting.  A server that does not know a setting (an older one) leaves it
 * out.
 *
 * search_path: no function, operator or type of another schema is called in place of PostgreSQL's.
 * default_transaction_isolation: a claim under a limit counts what the one before it took.
 * row_security: the schema's policies need it.  db_stmt_schema_version looks for others.
 * DateStyle, IntervalStyle, extra_float_digits, array_nulls, standard_conforming_strings: texts of
 * values and statements.
 * enable_...: claims walk an index.
 * The time-outs.  An administrator may have set some for other programs; our statements turn them
 * off.
 *
 * They are stated in a statement, since a pooler refuses a connection that states them in front.
 */
#define SETTINGS                                                \
	"('search_path', 'pg_catalog, pg_temp'), "              \
	"('default_transaction_isolation', 'read committed'), " \
	"('default_transaction_deferrable', 'off'), "           \
	"('row_security', 'on'), "                              \
	"('DateStyle', 'ISO, MDY'), "                           \
	"('IntervalStyle', 'postgres'), "                       \
	"('extra_float_digits', '1'), "                         \
	"('array_nulls', 'on'), "                               \
	"('transform_null_equals', 'off'), "                    \
	"('standard_conforming_strings', 'on'), "               \
	"('lock_timeout', '0'), "                               \
	"('idle_in_transaction_session_timeout', '0'), "        \
	"('idle_session_timeout', '0'), "                       \
	"('enable_indexscan', 'on'), "                          \
	"('enable_nestloop', 'on')"

/* A statement that hangs ends before a lease of 30 s is lost, and a hanging server counts as lost
 * shortly afterwards. */
#define STATEMENT_TIMEOUT "('statement_timeout', '10s'), "

#define SESSION(settings)                                                                   \
	"SELECT pg_catalog.pg_backend_pid(), pg_catalog.set_config(s.name, s.value, false)" \
	" FROM ("                                                                           \
	"VALUES " settings ") AS s (name, value) "                                          \
	"WHERE pg_catalog.current_setting(s.name, true) IS NOT NULL"

static const struct db_stmt stmt_session = {
	.name = "session",
	.nparams = 0,
	.sql = SESSION(STATEMENT_TIMEOUT "('TimeZone', 'UTC'), " SETTINGS),
};

static const struct db_stmt stmt_session_untimed = {
	.name = "session_untimed",
	.nparams = 0,
	.sql = SESSION("('TimeZone', 'UTC'), " SETTINGS),
};

const char db_session_for_people[] = SESSION(SETTINGS);

const struct db_stmt *
db_session(bool untimed)
{
	return untimed ? &stmt_session_untimed : &stmt_session;
}
