/*
 * ferryctl status: the fleet on one screen, and whether all is well as an exit code.
 */
#include "master/ctl/ctl.h"

#include <getopt.h>
#include <stdio.h>

#include "master/ctl/sheet.h"

#define N(a) ((int)(sizeof(a) / sizeof((a)[0])))

/* What does not pass by itself.  The answer has no rows if all is well. */
enum { TROUBLE };
static const char sql_troubles[] =
    "SELECT 'no node is alive' AS trouble"
    " WHERE NOT EXISTS (SELECT FROM ferry.alive())"
    " UNION ALL "
    "SELECT format('the lease of node %s has lapsed', n.name)"
    "  FROM ferry.node n"
    " WHERE n.renewed_at + n.lease < now()"
    " UNION ALL "
    "SELECT DISTINCT format('store %s is held on node %s: %s', h.store, h.node, h.reason)"
    "  FROM ferry.store h"
    " WHERE h.state = 'held'"
    " UNION ALL "
    "SELECT format('%s task(s) wait: %s', w.tasks, w.reason)"
    "  FROM ferry.waits((SELECT min(a.id)"
    "                      FROM ferry.alive() a"
    "                     WHERE a.queues IS NOT NULL), '0 s') w"
    " WHERE w.reason LIKE 'no node%'"
    "   AND w.reason <> 'no node is alive'"
    "    OR w.reason LIKE 'no worker%'";

static const struct sheet_column node_columns[] = {
	{ "NODE", "node", SHEET_TEXT, false },
	{ "PID", "pid", SHEET_NUMBER, false },
	{ "VERSION", "version", SHEET_WORD, false },
	{ "UP", "up_s", SHEET_AGE, false },
	{ "SEEN", "seen_s", SHEET_AGE, false },
	{ "WORKERS", "workers", SHEET_NUMBER, false },
	{ "BUSY", "busy", SHEET_NUMBER, false },
	{ "TASKS", "tasks", SHEET_NUMBER, false },
	{ "QUEUES", "queues", SHEET_TEXT, false },
};
static const char sql_nodes[] = "SELECT n.name AS node, n.pid, n.version,"
				"       extract(epoch FROM now() - n.started_at)::bigint AS up_s,"
				"       extract(epoch FROM now() - n.renewed_at)::bigint AS seen_s,"
				"       jsonb_array_length(n.workers) AS workers,"
				"       (SELECT count(*)"
				"          FROM ferry.workers w"
				"         WHERE w.node_id = n.id"
				"           AND w.task IS NOT NULL) AS busy,"
				"       (SELECT count(*)"
				"          FROM ferry.task t"
				"         WHERE t.node = n.id"
				"           AND t.state = 'running'"
				"           AND (t.state = 'running') IS TRUE) AS tasks,"
				"       array_to_string(n.queues, ' ') AS queues"
				"  FROM ferry.node n"
				" ORDER BY n.name";

static const struct sheet_column queue_columns[] = {
	{ "QUEUE", "queue", SHEET_TEXT, false },
	{ "OPEN", "open", SHEET_WORD, false },
	{ "RUNNING", "running", SHEET_NUMBER, false },
	{ "WAITING", "waiting", SHEET_NUMBER, false },
	{ "OLDEST", "oldest_s", SHEET_AGE, false },
	{ "AT ONCE", "max_transfers", SHEET_NUMBER, true },
	{ "RATE/s", "rate", SHEET_SIZE, true },
	{ "WEIGHT", "weight", SHEET_NUMBER, true },
};
static const char sql_queues[] =
    "SELECT coalesce(q.name, t.queue) AS queue,"
    "       CASE WHEN coalesce(q.enabled, true) THEN 'yes' ELSE 'paused' END AS open,"
    "       coalesce(t.running, 0) AS running, coalesce(t.waiting, 0) AS waiting,"
    "       extract(epoch FROM now() - t.oldest)::bigint AS oldest_s,"
    "       q.max_transfers, q.rate, q.weight"
    "  FROM ferry.queue q"
    "  FULL"
    "  JOIN ("
    "SELECT l.queue,"
    "       count(*) FILTER (WHERE l.state = 'running') AS running,"
    "       count(*) FILTER (WHERE l.state = 'queued') AS waiting,"
    "       min(l.created_at) FILTER (WHERE l.state = 'queued') AS oldest"
    "  FROM ferry.task l"
    " WHERE l.state IN ('queued', 'running')"
    " GROUP BY l.queue) t ON t.queue = q.name"
    " ORDER BY 1";

static const struct sheet_column wait_columns[] = {
	{ "TASKS", "tasks", SHEET_NUMBER, false },
	{ "WAIT FOR", "reason", SHEET_TEXT, false },
};
static const char sql_waits[] = "SELECT w.tasks, w.reason, w.is_part"
				"  FROM ferry.waits((SELECT min(a.id)"
				"                      FROM ferry.alive() a"
				"                     WHERE a.queues IS NOT NULL), '0 s') w";

static const struct sheet_column store_columns[] = {
	{ "STORE", "store", SHEET_WORD, false },
	{ "NODES", "nodes", SHEET_NUMBER, false },
	{ "READING", "reading", SHEET_NUMBER, false },
	{ "WRITING", "writing", SHEET_NUMBER, false },
	{ "AT ONCE", "max_transfers", SHEET_NUMBER, true },
	{ "RATE/s", "rate", SHEET_SIZE, true },
	{ "HELD FOR", "held_s", SHEET_AGE, true },
	{ "REASON", "reason", SHEET_TEXT, true },
};
static const char sql_stores[] =
    "SELECT s.store, count(*) AS nodes,"
    "       (SELECT count(*)"
    "          FROM ferry.task t"
    "         WHERE t.state = 'running'"
    "           AND (t.state = 'running') IS TRUE"
    "           AND t.source_store = s.store) AS reading,"
    "       (SELECT count(*)"
    "          FROM ferry.task t"
    "         WHERE t.state = 'running'"
    "           AND (t.state = 'running') IS TRUE"
    "           AND t.destination_store = s.store) AS writing,"
    "       min(s.max_transfers) AS max_transfers, min(s.rate) AS rate,"
    "       (SELECT extract(epoch FROM now() - min(h.since))::bigint"
    "          FROM ferry.store h"
    "         WHERE h.store = s.store) AS held_s,"
    "       (SELECT max(h.reason)"
    "          FROM ferry.store h"
    "         WHERE h.store = s.store) AS reason"
    "  FROM ferry.node_store s"
    " GROUP BY s.store"
    " ORDER BY s.store";

static const struct sheet_column end_columns[] = {
	{ "LAST MINUTE: DONE", "done", SHEET_NUMBER, false },
	{ "FAILED", "failed", SHEET_NUMBER, false },
	{ "BYTES", "bytes", SHEET_SIZE, false },
	{ "BYTES/s", "rate", SHEET_SIZE, false },
};
/* The index of ended tasks is read from its end, 100,000 rows at most. */
static const char sql_ends[] =
    "SELECT count(*) FILTER (WHERE e.state = 'done') AS done,"
    "       count(*) FILTER (WHERE e.state = 'failed') AS failed,"
    "       coalesce(sum(e.bytes_done) FILTER (WHERE e.state = 'done'), 0)::bigint AS bytes,"
    "       coalesce(sum(e.bytes_done) FILTER (WHERE e.state = 'done') / 60, 0)::bigint AS rate"
    "  FROM ("
    "SELECT t.state, t.bytes_done"
    "  FROM ferry.task t"
    " WHERE t.state IN ('done', 'failed', 'cancelled')"
    "   AND t.finished_at > now() - interval '1 minute'"
    " ORDER BY t.finished_at DESC"
    " LIMIT 100000) e";

static const struct sheet_column failure_columns[] = {
	{ "FAILED", "ago_s", SHEET_AGE, false },
	{ "ID", "id", SHEET_WORD, false },
	{ "CLASS", "error_class", SHEET_WORD, false },
	{ "SOURCE", "source", SHEET_URI, false },
	{ "ERROR", "error", SHEET_TEXT, false },
};
/* The last of the last 10,000 ends. */
static const char sql_failures[] =
    "SELECT extract(epoch FROM now() - e.finished_at)::bigint AS ago_s, e.id, e.error_class,"
    "       e.source, e.destination, e.error"
    "  FROM ("
    "SELECT t.*"
    "  FROM ferry.task t"
    " WHERE t.state IN ('done', 'failed', 'cancelled')"
    "   AND t.finished_at IS NOT NULL"
    " ORDER BY t.finished_at DESC"
    " LIMIT 10000) e"
    " WHERE e.state = 'failed'"
    " ORDER BY e.finished_at DESC"
    " LIMIT 5";

/* The parts of the screen, in their order. */
static const struct section {
	const char *name; /* in JSON */
	const char *sql;
	const struct sheet_column *columns; /* NULL: one sentence a row */
	int ncolumns;
} sections[] = {
	{ "troubles", sql_troubles, NULL, 0 },
	{ "nodes", sql_nodes, node_columns, N(node_columns) },
	{ "queues", sql_queues, queue_columns, N(queue_columns) },
	{ "waits", sql_waits, wait_columns, N(wait_columns) },
	{ "stores", sql_stores, store_columns, N(store_columns) },
	{ "ends", sql_ends, end_columns, N(end_columns) },
	{ "failures", sql_failures, failure_columns, N(failure_columns) },
};

struct status {
	bool json;
	bool exact;
	bool troubled;
};

const char ctl_status_options[] = "  --json   all of it, for programs\n"
				  "  --bytes  sizes in bytes and times in seconds\n";

static void
print_sentences(const PGresult *res)
{
	char text[CTL_TEXT_MAX];
	int row;

	if (PQntuples(res) == 0)
		puts("all is well");
	for (row = 0; row < PQntuples(res); row++)
		printf("trouble: %s\n",
		    ctl_clean(text, sizeof(text), PQgetvalue(res, row, TROUBLE), CTL_WHOLE));
}

static void
print_section(const struct status *status, const struct section *s, const PGresult *res)
{
	struct sheet sheet = { s->columns, s->ncolumns, status->exact };

	if (status->json) {
		printf("%s\"%s\": ", s == sections ? "{" : ",\n ", s->name);
		sheet_print_array(res);
	} else if (s->columns == NULL) {
		print_sentences(res);
	} else if (PQntuples(res) > 0) {
		putchar('\n');
		sheet_print(&sheet, res);
	}
}

/* Returns 0 or CTL_USAGE. */
static int
take_options(struct status *status, int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "bytes", no_argument, NULL, 'b' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == '?')
			return CTL_USAGE;
		status->json |= c == 'j';
		status->exact |= c == 'b';
	}
	return optind == argc ? 0 : CTL_USAGE;
}

int
ctl_status(struct ctl *ctl, int argc, char **argv)
{
	struct status status = { 0 };
	const struct section *s;
	PGresult *res;
	int code;

	if ((code = take_options(&status, argc, argv)) != 0 || (code = ctl_connect(ctl)) != 0)
		return code;
	for (s = sections; s < sections + N(sections); s++) {
		if ((res = ctl_query(ctl, s->sql, 0, NULL)) == NULL)
			return ctl_exit_code(ctl);
		if (s == sections)
			status.troubled = PQntuples(res) > 0;
		print_section(&status, s, res);
		PQclear(res);
	}
	fputs(status.json ? "}\n" : "", stdout);
	return status.troubled ? CTL_FAILED : 0;
}
