#include "master/limits/holds.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/db/params.h"
#include "master/node/sqlarray.h"

#define COUNT_MAX 100000 /* more waiting tasks are not counted */

/* One array for each column; the last one has ages in ms. */
static const struct db_stmt stmt_hold = {
	.name = "state_holds",
	.nparams = 8,
	.sql = "WITH mine AS MATERIALIZED ("
	       "SELECT * FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], "
	       "$7::text[], $8::bigint[]) "
	       "AS h(store, held_as, state, trouble, error_class, reason, age)), "
	       "gone AS ("
	       "DELETE FROM ferry.hold "
	       "WHERE node = $1::bigint "
	       "AND (store, held_as) NOT IN (SELECT store, held_as FROM mine)) "
	       "INSERT INTO ferry.hold AS h "
	       "(node, store, held_as, state, trouble, error_class, reason, since) "
	       "SELECT n.id, m.store, m.held_as, m.state, m.trouble, m.error_class, m.reason, "
	       "now() - m.age * interval '1 millisecond' "
	       "FROM mine m JOIN ferry.node n ON n.id = $1::bigint "
	       "ON CONFLICT (node, store, held_as) DO UPDATE "
	       "SET state = excluded.state, trouble = excluded.trouble, "
	       "error_class = excluded.error_class, reason = excluded.reason",
};

static const struct db_stmt stmt_count = {
	.name = "count_waiting",
	.nparams = 3,
	.sql = "SELECT ferry.waiting($1, $2, $3::integer)",
};

enum { WAITING };

/* The parameters of the statement behind the first. */
enum { STORE, HELD_AS, STATE, TROUBLE, CLASS, REASON, AGE, COLUMNS };

static const char *
end_name(enum task_end end)
{
	return end == END_SOURCE ? "source" : "destination";
}

static void
add_row(struct sqlarray *columns, const struct health *h)
{
	sqlarray_add_str(&columns[STORE], h->name);
	sqlarray_add_str(&columns[HELD_AS], end_name(h->end));
	sqlarray_add_str(&columns[STATE], h->unknown ? "unknown" : "held");
	sqlarray_add_str(&columns[TROUBLE], trouble_name(h->trouble));
	sqlarray_add_str(&columns[CLASS], error_class_name(h->class));
	sqlarray_add_str(&columns[REASON], h->reason);
	sqlarray_add_int(&columns[AGE], clock_ms() - h->since);
}

/* Of a store whose command has not given keys yet, at both ends. */
static void
add_awaiting(struct sqlarray *columns, const struct config_store *store)
{
	struct health h = { .class = CLASS_CREDENTIALS, .trouble = TROUBLE_STORE };
	int end;

	h.since = clock_ms();
	strlcpy(h.name, store->name, sizeof(h.name));
	strlcpy(h.reason, "its credentials_command has given no keys yet; the log says why",
	    sizeof(h.reason));
	for (end = 0; end < TASK_ENDS; end++) {
		h.end = (enum task_end)end;
		add_row(columns, &h);
	}
}

static void
add_all(struct sqlarray *columns, const struct limits *l)
{
	const struct config *conf = l->state->conf;
	const struct config_store *store;
	const struct health *h;
	int i;

	for (i = 0; i < conf->nstores; i++)
		if (config_awaits_keys(&conf->stores[i]))
			add_awaiting(columns, &conf->stores[i]);
	for (h = l->health; h < l->health + HEALTH_MAX; h++) {
		store = config_find_store(conf, h->name);
		if (h->name[0] != '\0' && h->state >= HEALTH_HELD &&
		    (store == NULL || !config_awaits_keys(store)))
			add_row(columns, h);
	}
}

void
holds_write(struct limits *l)
{
	struct sqlarray columns[COLUMNS];
	struct params p = { .n = 0 };
	int i;

	if (!link_is_ready(l->node))
		return;
	for (i = 0; i < COLUMNS; i++)
		sqlarray_init(&columns[i]);
	add_all(columns, l);
	params_int(&p, node_id(l->node));
	for (i = 0; i < COLUMNS; i++)
		params_text(&p, sqlarray_finish(&columns[i]));
	db_submit(l->node->db, &stmt_hold, p.values, DB_REPEAT, NULL, NULL);
	for (i = 0; i < COLUMNS; i++)
		sqlarray_release(&columns[i]);
}

/* A hold that is over, until its tasks are counted. */
struct over {
	char name[HEALTH_NAME_MAX];
	const char *end;
	int64_t lasted_ms;
};

/* waited: how many tasks; NULL: nobody knows. */
static void
log_over(const struct over *over, const char *waited)
{
	bool more = waited != NULL && strtol(waited, NULL, 10) >= COUNT_MAX;
	struct log_line line;
	char tasks[64] = "";

	if (waited != NULL)
		snprintf(tasks, sizeof(tasks), "; %s%.20s of its tasks waited",
		    more ? "at least " : "", waited);
	log_begin(&line, LOG_INFO,
	    "store %s is well again as a %s: it was held for %" PRId64 " s%s", over->name,
	    over->end, (over->lasted_ms + 500) / 1000, tasks);
	log_str(&line, "store", over->name);
	log_str(&line, "held_as", over->end);
	log_int(&line, "ms", over->lasted_ms);
	log_end(&line);
}

static void
counted(void *arg, enum db_status status, PGresult *res)
{
	struct over *over = arg;

	log_over(over, status == DB_OK && PQntuples(res) == 1 ? PQgetvalue(res, 0, WAITING) : NULL);
	free(over);
}

void
holds_log_over(struct limits *l, const struct health *h)
{
	struct over *over = memory_alloc(sizeof(*over));
	struct params p = { .n = 0 };

	strlcpy(over->name, h->name, sizeof(over->name));
	over->end = end_name(h->end);
	over->lasted_ms = clock_ms() - h->since;
	if (!link_is_ready(l->node)) {
		log_over(over, NULL);
		free(over);
		return;
	}
	params_text(&p, over->name);
	params_text(&p, over->end);
	params_int(&p, COUNT_MAX);
	db_submit(l->node->db, &stmt_count, p.values, DB_ONCE, counted, over);
}
