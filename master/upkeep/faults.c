#include "master/upkeep/faults.h"

#include <string.h>

#include "common/base/log.h"

static const struct db_stmt stmt_faults = {
	.name = "faults",
	.nparams = 0,
	.sql = "SELECT pg_catalog.getdatabaseencoding(), s.sequence, s.mend "
	       "FROM (SELECT) one "
	       "LEFT JOIN ferry.sequences_behind() s ON true",
};
enum { ENCODING, SEQUENCE, MEND };

static void
looked(void *arg, enum db_status status, PGresult *res)
{
	const char *encoding;
	char why[256];
	int i;

	(void)arg;
	if (status == DB_ERROR)
		log_error("faults of the database cannot be looked for: %s",
		    db_error_message(res, why, sizeof(why)));
	if (status != DB_OK)
		return;
	encoding = PQgetvalue(res, 0, ENCODING);
	if (strcmp(encoding, "UTF8") != 0)
		log_warn("the database has the encoding %s: a task with bytes that are not UTF-8 "
			 "will fail; move the schema to a database made by \"createdb -E UTF8 -T "
			 "template0\"",
		    encoding);
	for (i = 0; i < PQntuples(res); i++)
		if (!PQgetisnull(res, i, SEQUENCE))
			log_warn("the sequence %s gives ids that tasks have already: run \"%s\"",
			    PQgetvalue(res, i, SEQUENCE), PQgetvalue(res, i, MEND));
}

void
faults_look(struct upkeep *u)
{
	db_submit(u->node->db, &stmt_faults, NULL, DB_ONCE, looked, u);
}
