/*
 * The list of tasks.  Browsers are sent what has changed since they asked last, so that a list of
 * many thousand rows costs little once it is there.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"
#include "master/exporter/board.h"
#include "master/exporter/page_questions.h"

/* Notes that a task has left the list.  What finds no place is told by sending the whole list. */
static void
note_gone(struct tasks *t, int64_t id)
{
	if (t->ngone == TASKS_GONE) {
		t->gone_since = t->version;
		t->ngone = 0;
		return;
	}
	t->gone[t->ngone++] = (struct task_gone){ .id = id, .version = t->version };
}

/* old: the task's row as it was; NULL: it had none. */
static void
set_row(const struct tasks *t, struct task_row *new, const struct task_row *old, const char *text)
{
	bool same = old != NULL && strcmp(old->text, text) == 0;

	new->version = same ? old->version : t->version;
	new->text = memory_strdup(text);
}

void
tasks_take(void *arg, const PGresult *res)
{
	struct tasks *t = arg;
	struct task_row *rows = memory_array(NULL, (size_t)PQntuples(res) + 1, sizeof(*rows));
	int i, old = 0;

	t->version++;
	for (i = 0; i < PQntuples(res); i++) {
		rows[i].id = strtoll(PQgetvalue(res, i, TASKS_ID), NULL, 10);
		for (; old < t->n && t->rows[old].id < rows[i].id; old++)
			note_gone(t, t->rows[old].id);
		if (old < t->n && t->rows[old].id == rows[i].id)
			set_row(t, &rows[i], &t->rows[old++], PQgetvalue(res, i, TASKS_TEXT));
		else
			set_row(t, &rows[i], NULL, PQgetvalue(res, i, TASKS_TEXT));
	}
	for (; old < t->n; old++)
		note_gone(t, t->rows[old].id);
	for (old = 0; old < t->n; old++)
		free(t->rows[old].text);
	free(t->rows);
	t->rows = rows;
	t->n = i;
}

void
tasks_write(const struct tasks *t, int64_t since, FILE *out)
{
	bool whole = since < t->gone_since || since < t->first || since > t->version;
	const char *joint = "";
	int i;

	fprintf(out, ",\"version\":%" PRId64 ",\"whole\":%s,\"rows\":[", t->version,
	    whole ? "true" : "false");
	for (i = 0; i < t->n; i++)
		if (whole || t->rows[i].version > since) {
			fprintf(out, "%s%s", joint, t->rows[i].text);
			joint = ",";
		}
	fputs("],\"gone\":[", out);
	for (i = 0, joint = ""; i < t->ngone && !whole; i++)
		if (t->gone[i].version > since) {
			fprintf(out, "%s\"%" PRId64 "\"", joint, t->gone[i].id);
			joint = ",";
		}
	fputs("]", out);
}
