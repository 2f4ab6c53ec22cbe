#include "master/exporter/board.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/memory.h"
#include "master/exporter/page_questions.h"

#define WATCHED_MS 10000 /* who looks has asked within this time */
#define SHARE 10 /* a question takes at most this part of the time */

static const struct {
	const char *name;
	const struct db_stmt *question;
	int64_t every_ms;
} kinds[SHEETS] = {
	[SHEET_NODES] = { "nodes", &question_page_nodes, 2000 },
	[SHEET_WORKERS] = { "workers", &question_page_workers, 2000 },
	[SHEET_QUEUES] = { "queues", &question_page_queues, 3000 },
	[SHEET_STORES] = { "stores", &question_page_stores, 3000 },
	[SHEET_ENDS] = { "ends", &question_page_ends, 3000 },
	[SHEET_FAILURES] = { "failures", &question_page_failures, 10000 },
};

void
board_open(struct board *b, struct db *db)
{
	int i;

	b->db = db;
	for (i = 0; i < SHEETS; i++) {
		b->sheets[i].question = kinds[i].question;
		b->sheets[i].every_ms = kinds[i].every_ms;
	}
	for (i = 0; i < STORIES_MAX; i++) {
		b->stories[i].question = &question_page_task;
		b->stories[i].every_ms = 2000;
	}
	b->tasks.sheet = (struct sheet){ .question = &question_page_tasks,
		.every_ms = 2000,
		.take = tasks_take,
		.arg = &b->tasks };
	b->tasks.first = b->tasks.version = b->tasks.gone_since = clock_wall_ms();
}

static void
look(struct sheet *s)
{
	s->wanted_at = clock_ms();
}

/* All sheets, one after the other. */
static struct sheet *
sheet_at(struct board *b, int i)
{
	if (i < SHEETS)
		return &b->sheets[i];
	return i < SHEETS + STORIES_MAX ? &b->stories[i - SHEETS] : &b->tasks.sheet;
}
#define ALL_SHEETS (SHEETS + STORIES_MAX + 1)

static void
keep(struct sheet *s, const PGresult *res)
{
	s->answered_at = clock_wall_ms();
	s->why[0] = '\0';
	if (s->take != NULL) {
		s->take(s->arg, res);
		return;
	}
	free(s->text);
	s->text = memory_strdup(PQntuples(res) > 0 ? PQgetvalue(res, 0, PAGE_TEXT) : "null");
}

static void
on_answer(void *arg, enum db_status status, PGresult *res)
{
	struct sheet *s = arg;
	int64_t now = clock_ms(), took = now - s->asked_at;

	s->pending = false;
	s->ask_at = now + (took * SHARE > s->every_ms ? took * SHARE : s->every_ms);
	if (status == DB_OK)
		keep(s, res);
	else if (status == DB_ERROR)
		db_error_message(res, s->why, sizeof(s->why));
	else
		s->ask_at = now;
}

/* When the sheet's question is due; 0: it need not be asked. */
static int64_t
due(const struct sheet *s, int64_t now)
{
	if (s->pending || s->wanted_at == 0 || now - s->wanted_at > WATCHED_MS)
		return 0;
	return s->ask_at != 0 ? s->ask_at : now;
}

int64_t
board_deadline(const struct board *b)
{
	int64_t at = 0, now = clock_ms();
	int i;

	for (i = 0; i < ALL_SHEETS && db_is_up(b->db); i++)
		at = clock_earlier(at, due(sheet_at((struct board *)b, i), now));
	return at;
}

void
board_run(struct board *b)
{
	int64_t now = clock_ms(), at;
	const char *parameter;
	struct sheet *s;
	int i;

	for (i = 0; i < ALL_SHEETS && db_is_up(b->db); i++) {
		s = sheet_at(b, i);
		at = due(s, now);
		if (at == 0 || at > now)
			continue;
		s->pending = true;
		s->asked_at = now;
		parameter = s->parameter;
		db_submit(b->db, s->question, s->question->nparams > 0 ? &parameter : NULL, DB_ONCE,
		    on_answer, s);
	}
}

/* A text as a string of JSON. */
static void
write_string(FILE *out, const char *text)
{
	putc('"', out);
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < 0x20)
			fprintf(out, "\\u%04x", *text);
		else
			fprintf(out, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
	putc('"', out);
}

static void
write_sheet(const struct sheet *s, FILE *out)
{
	fprintf(out, "{\"at\":%" PRId64 ",\"why\":", s->answered_at);
	write_string(out, s->why);
	fprintf(out, ",\"rows\":%s}", s->text != NULL ? s->text : "null");
}

/* Whether the database is there, and since when it is not. */
static void
write_database(const struct board *b, FILE *out)
{
	struct db_outage outage;
	int64_t since = 0;

	if (db_outage(b->db, &outage))
		since = clock_wall_ms() - (clock_ms() - outage.since);
	fprintf(out, "{\"now\":%" PRId64 ",\"up\":%s,\"away_since\":%" PRId64, clock_wall_ms(),
	    db_is_up(b->db) ? "true" : "false", since);
}

void
board_write_fleet(struct board *b, FILE *out)
{
	int i;

	write_database(b, out);
	for (i = 0; i < SHEETS; i++) {
		look(&b->sheets[i]);
		fprintf(out, ",\"%s\":", kinds[i].name);
		write_sheet(&b->sheets[i], out);
	}
	putc('}', out);
}

void
board_write_tasks(struct board *b, int64_t since, FILE *out)
{
	look(&b->tasks.sheet);
	write_database(b, out);
	fprintf(out, ",\"at\":%" PRId64 ",\"why\":", b->tasks.sheet.answered_at);
	write_string(out, b->tasks.sheet.why);
	tasks_write(&b->tasks, since, out);
	putc('}', out);
}

/* Returns the sheet of a task.  A new task replaces the task that no page has asked for longest. */
static struct sheet *
find_story(struct board *b, const char *id)
{
	struct sheet *s, *oldest = NULL;

	for (s = b->stories; s < b->stories + STORIES_MAX; s++) {
		if (strcmp(s->parameter, id) == 0)
			return s;
		if (!s->pending && (oldest == NULL || s->wanted_at < oldest->wanted_at))
			oldest = s;
	}
	if (oldest == NULL)
		return NULL;
	strlcpy(oldest->parameter, id, sizeof(oldest->parameter));
	free(oldest->text);
	oldest->text = NULL;
	oldest->answered_at = oldest->ask_at = 0;
	oldest->why[0] = '\0';
	return oldest;
}

int
board_write_task(struct board *b, int64_t id, FILE *out)
{
	char text[24];
	struct sheet *s;

	snprintf(text, sizeof(text), "%" PRId64, id);
	s = find_story(b, text);
	if (s == NULL)
		return -1;
	look(s);
	write_database(b, out);
	fputs(",\"task\":", out);
	write_sheet(s, out);
	putc('}', out);
	return 0;
}
